"""What requests and answers say, as JSON Schema (2020-12): the one source of validation and of the API's description.

Schemas with a ``title`` stand in the description once, under that name. ``x-message`` is what a refusal says of a value
that does not fit.
"""

from __future__ import annotations

from typing import Any

from sandbox.domain.model import SessionStatus
from sandbox.policy.cursors import DEFAULT_LIMIT, MAX_LIMIT
from sandbox.policy.paths import MAX_PATH, MAX_SEGMENT
from sandbox.policy.sessions import CPUS_MIN, MEMORY_MIN

Schema = dict[str, Any]

#: Items of one array or object; more would keep the reactor from its other work while they are looked through.
ITEM_LIMIT = 20_000

NO_NUL: Schema = {"type": "string", "pattern": "^[^\\x00]*$"}
NAME: Schema = {
    "pattern": "^[^=\\x00]+$",
    "x-message": "Request body field 'env' has a name that is empty or holds '=' or NUL",
}
_ENV: Schema = {
    "type": "object",
    "maxProperties": ITEM_LIMIT,
    "propertyNames": NAME,
    "additionalProperties": NO_NUL,
    "description": "Environment variables; one is under 128 KiB, all together are at most 1 MiB.",
    "examples": [{"LANG": "C.UTF-8"}],
}
_PORT_MESSAGE = "Port must be an integer between 1024 and 65535"
_COMMAND_MESSAGE = "Request body field 'command' must be a string or a non-empty array of strings, without NUL bytes"
_USER: Schema = {**NO_NUL, "minLength": 1, "maxLength": 256}
_ID = "^[A-Za-z0-9_-]{1,64}$"

# -- parameters --------------------------------------------------------------------------------------------------------

SESSION_ID: Schema = {
    "type": "string",
    "pattern": _ID,
    "x-message": "Session id must match [A-Za-z0-9_-]{1,64}",
    "examples": ["demo"],
}

LINK_ID: Schema = {
    "type": "string",
    "pattern": _ID,
    "x-message": "Link id must match [A-Za-z0-9_-]{1,64}",
    "examples": ["mkY3T0zUu6qjW9SaL1pBvQ"],
}

WORKSPACE_PATH: Schema = {
    "type": "string",
    "minLength": 1,
    "format": "workspace-path",
    "description": "Relative to `/workspace`, `.` being the workspace itself: no `..` segment, no NUL, at most "
    f"{MAX_PATH} bytes and {MAX_SEGMENT} a segment, and no symbolic link that leads out. A byte that is not UTF-8 "
    "stands in the query as it is, and in JSON as a lone surrogate (`\\udc80` to `\\udcff`).",
    "x-message": "Query parameter 'path' is required",
    "examples": ["src/app.py"],
}

DIRECTORY_PATH: Schema = {**WORKSPACE_PATH, "examples": ["src"]}

LIMIT: Schema = {
    "type": "integer",
    "minimum": 1,
    "maximum": MAX_LIMIT,
    "default": DEFAULT_LIMIT,
    "description": "Sessions a page.",
    "x-message": f"Query parameter 'limit' must be an integer from 1 to {MAX_LIMIT}",
}

STATUS: Schema = {"type": "string", "enum": [status.value for status in SessionStatus]}

USER_ID: Schema = {**_USER, "description": "Only this user's sessions."}

CURSOR: Schema = {
    "type": "string",
    "minLength": 1,
    "format": "cursor",
    "description": "The `nextCursor` of the page before.",
}

IDEMPOTENCY_KEY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "description": "The command runs once for all requests with one key and one body, and all get its outcome: for "
    "ten minutes.",
    "x-message": "Header Idempotency-Key must have 1 to 255 bytes",
    "examples": ["5f0c1c9e"],
}

IDEMPOTENCY_REPLAY: Schema = {
    "type": "string",
    "enum": ["only"],
    "description": "Give the outcome of an earlier request with this `Idempotency-Key`, and run nothing.",
    "x-message": "Header Idempotency-Replay must be 'only'",
}

# -- requests ----------------------------------------------------------------------------------------------------------

NEW_SESSION: Schema = {
    "title": "NewSession",
    "type": "object",
    "required": ["userId"],
    "additionalProperties": False,
    "properties": {
        "userId": {**_USER, "description": "Whose it is."},
        "id": {"type": "string", "pattern": _ID, "description": "Made when none is given."},
        "image": {
            **NO_NUL,
            "minLength": 1,
            "maxLength": 512,
            "description": "An image that the engine has; `SESSION_IMAGE` when none is given.",
        },
        "env": _ENV,
        "memoryMb": {
            "type": "integer",
            "minimum": MEMORY_MIN,
            "description": "Memory limit in MiB, up to `SESSION_MEMORY_MB_MAX`.",
        },
        "cpus": {"type": "number", "minimum": CPUS_MIN, "description": "Limit in cores, up to `SESSION_CPUS_MAX`."},
    },
    "examples": [{"userId": "alice", "id": "demo", "memoryMb": 512}],
}

COMMAND: Schema = {
    "title": "Command",
    "type": "object",
    "required": ["command"],
    "additionalProperties": False,
    "properties": {
        "command": {
            "description": "A string is run by `/bin/sh -c`, an array as it is. Each argument is under 128 KiB.",
            "oneOf": [
                {**NO_NUL, "minLength": 1},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": ITEM_LIMIT,
                    "items": NO_NUL,
                    "prefixItems": [{**NO_NUL, "minLength": 1}],
                },
            ],
            "x-message": _COMMAND_MESSAGE,
        },
        "cwd": {
            **NO_NUL,
            "minLength": 1,
            "format": "working-directory",
            "description": "Relative to `/workspace`, by the rules of paths there, or absolute.",
            "default": ".",
        },
        "env": _ENV,
        "timeoutMs": {
            "type": "integer",
            "minimum": 1,
            "maximum": 600_000,
            "default": 300_000,
            "description": "Milliseconds until the command and all it started are killed.",
        },
    },
    "examples": [{"command": "echo hello; exit 3", "cwd": ".", "env": {"LANG": "C.UTF-8"}, "timeoutMs": 10_000}],
}

NEW_FILE: Schema = {
    "title": "NewFile",
    "type": "object",
    "required": ["path", "content"],
    "additionalProperties": False,
    "properties": {
        "path": {"type": "string", "format": "workspace-path", "description": WORKSPACE_PATH["description"]},
        "content": {"type": "string", "description": "The file's whole text."},
    },
    "examples": [{"path": "src/app.py", "content": "print('hello')\n"}],
}

NEW_PREVIEW: Schema = {
    "title": "NewPreview",
    "type": "object",
    "required": ["port"],
    "additionalProperties": False,
    "properties": {
        "port": {"type": "integer", "minimum": 1024, "maximum": 65535, "x-message": _PORT_MESSAGE},
        "stripPrefix": {
            "type": "boolean",
            "default": True,
            "description": "Whether `/previews/{sessionId}` is removed from what the application sees.",
        },
        "host": {
            "type": "string",
            "enum": ["auto", "public", "local", "preserve", "rewrite"],
            "default": "auto",
            "description": "Where the application is told that it is: where browsers find it (`public`, also "
            "`preserve`), at `localhost:PORT` (`local`, also `rewrite`), or the first unless it refuses that (`auto`).",
        },
        "access": {
            "type": "string",
            "enum": ["public", "owner", "link"],
            "description": "Who may see it: everybody, the session's owner, or also who holds a link. Unset: what "
            "`ENABLE_PREVIEW_ACCESS_CONTROL` says.",
        },
    },
    "examples": [{"port": 3000}],
}

NEW_LINK: Schema = {
    "title": "NewLink",
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "ttlSeconds": {"type": "integer", "minimum": 1, "maximum": 86_400, "default": 3600},
        "userId": {**_USER, "description": "Whom the application shall be told."},
    },
    "examples": [{"ttlSeconds": 900, "userId": "bob"}],
}
