"""Parameters, and what schemas of more than one message share."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.api.framework.schemas import ITEM_LIMIT, NAME, NO_NUL, PATH_FORMAT, Schema
from sandbox.domain.model import SessionStatus
from sandbox.policy.cursors import DEFAULT_LIMIT, MAX_LIMIT
from sandbox.policy.paths import MAX_PATH, MAX_SEGMENT

_PATTERN = "^[A-Za-z0-9_-]{1,64}$"

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
ID: Schema = {"type": "string", "pattern": _PATTERN}
USER: Schema = {**NO_NUL, "minLength": 1, "maxLength": 256}
PORT: Schema = {"type": "integer", "minimum": 1024, "maximum": 65535}
SIZE: Schema = {"type": "integer", "minimum": 0, "description": "Bytes."}
MOMENT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}([0-9]{3})?Z$",
    "description": "ISO 8601 in UTC.",
}
ENV: Schema = {
    "type": "object",
    "maxProperties": ITEM_LIMIT,
    "propertyNames": NAME,
    "additionalProperties": NO_NUL,
    "description": "Environment variables; one is under 128 KiB, all together are at most 1 MiB.",
    "examples": [{"LANG": "C.UTF-8"}],
}

SESSION_ID: Schema = {
    "type": "string",
    "pattern": _PATTERN,
    "x-message": "Session id must match [A-Za-z0-9_-]{1,64}",
    "examples": ["demo"],
}

LINK_ID: Schema = {
    "type": "string",
    "pattern": _PATTERN,
    "x-message": "Link id must match [A-Za-z0-9_-]{1,64}",
    "examples": ["mkY3T0zUu6qjW9SaL1pBvQ"],
}

#: What the paths of one session begin with.
SESSION = "/sessions/{sessionId}"
#: The parameters that a path may have, by the names that stand in it in braces.
IN_PATH: Mapping[str, Schema] = {"sessionId": SESSION_ID, "linkId": LINK_ID}

WORKSPACE_PATH: Schema = {
    "type": "string",
    "minLength": 1,
    "format": PATH_FORMAT,
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

USER_ID: Schema = {**USER, "description": "Only this user's sessions."}

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
