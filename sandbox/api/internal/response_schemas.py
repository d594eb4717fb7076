"""What answers say, as JSON Schema (2020-12). Every answer of the test suite is held against these."""

from __future__ import annotations

from sandbox.api.internal.schemas import SESSION_ID, STATUS, Schema
from sandbox.domain.model import EntryType

_MOMENT: Schema = {
    "type": "string",
    "format": "date-time",
    "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}([0-9]{3})?Z$",
    "description": "ISO 8601 in UTC.",
}
_SIZE: Schema = {"type": "integer", "minimum": 0, "description": "Bytes."}
_PORT: Schema = {"type": "integer", "minimum": 1024, "maximum": 65535}
_KIND: Schema = {"type": "string", "enum": [kind.value for kind in EntryType]}
_ID: Schema = {"type": "string", "pattern": SESSION_ID["pattern"]}
_URL: Schema = {"type": ["string", "null"], "format": "uri"}
_TOLD: Schema = {"type": ["string", "null"], "enum": ["public", "local", None]}
_CREATED = "2026-01-25T12:00:00.000Z"
_MODIFIED = "2026-01-25T12:00:00.123456Z"


def _object(
    title: str, properties: dict[str, Schema], example: object, *, optional: frozenset[str] = frozenset()
) -> Schema:
    return {
        "title": title,
        "type": "object",
        "required": [name for name in properties if name not in optional],
        "properties": properties,
        "examples": [example],
    }


def _either(title: str, *variants: Schema) -> Schema:
    examples = [example for variant in variants for example in variant.pop("examples")]
    return {"title": title, "oneOf": list(variants), "examples": examples}


_SESSION = {
    "id": "demo",
    "userId": "alice",
    "status": "running",
    "image": "sandbox-session:latest",
    "containerId": "4f1dc0a8b6de2f0c1b7c9d3e5a6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091",
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
}

SESSION = _object(
    "Session",
    {
        "id": _ID,
        "userId": {"type": "string"},
        "status": {**STATUS, "description": "What the engine says, not what was last asked for."},
        "image": {"type": "string"},
        "containerId": {"type": ["string", "null"]},
        "createdAt": _MOMENT,
        "updatedAt": _MOMENT,
    },
    _SESSION,
)

PAGE = _object(
    "SessionPage",
    {
        "sessions": {"type": "array", "items": SESSION},
        "nextCursor": {"type": ["string", "null"], "description": "The next page's; null after the last."},
    },
    {"sessions": [_SESSION], "nextCursor": None},
)

RESULT = _object(
    "ExecResult",
    {
        "exitCode": {"type": "integer", "description": "128 + *n* when signal *n* ended the command."},
        "stdout": {"type": "string", "description": "U+FFFD stands for what is not UTF-8."},
        "stderr": {"type": "string"},
        "durationMs": {"type": "integer", "minimum": 0},
        "truncated": {
            "type": "boolean",
            "description": "Whether a stream had more than `EXEC_OUTPUT_LIMIT` bytes; the rest was dropped.",
        },
        "signal": {"type": "string", "description": "The signal that ended the command."},
        "code": {"const": "OOM_KILLED", "description": "The kernel killed it for lack of memory."},
    },
    {"exitCode": 3, "stdout": "hello\n", "stderr": "", "durationMs": 12, "truncated": False},
    optional=frozenset({"signal", "code"}),
)

#: Beside the error's own fields, when a command's time was up (contract section 2).
PARTIAL_OUTPUT: dict[str, Schema] = {
    "stdout": {"type": "string"},
    "stderr": {"type": "string"},
    "durationMs": {"type": "integer", "minimum": 0},
    "truncated": {"type": "boolean"},
    "survivors": {
        "type": "integer",
        "minimum": 0,
        "description": "Processes that could not be confirmed dead (`KILL_UNCONFIRMED`); 0 is the rule.",
    },
}

#: Beside the error's own fields, when a command's directory could not be entered, or a file operation failed.
DIRECTORY_FIELD: dict[str, Schema] = {"cwd": {"type": "string", "description": "The directory that was asked for."}}
PATH_FIELD: dict[str, Schema] = {"path": {"type": "string", "description": "The path that was asked for."}}

#: Beside an unforeseen error's own fields (contract section 1).
INCIDENT: dict[str, Schema] = {
    "incident": {"type": "string", "description": "Stands in the daemon's log beside the traceback."}
}

_METADATA: dict[str, Schema] = {"type": _KIND, "size": _SIZE, "modifiedAt": _MOMENT}

FILE = _object(
    "File",
    {"path": {"type": "string"}, "content": {"type": "string"}, "size": _SIZE, "modifiedAt": _MOMENT},
    {"path": "src/app.py", "content": "print('hello')\n", "size": 15, "modifiedAt": _MODIFIED},
)

WRITTEN_FILE = _object("WrittenFile", {"path": {"type": "string"}, "size": _SIZE}, {"path": "src/app.py", "size": 15})

DIRECTORY = _object(
    "Directory",
    {
        "path": {"type": "string"},
        "entries": {
            "type": "array",
            "items": _object(
                "Entry",
                {"name": {"type": "string"}, **_METADATA},
                {"name": "app.py", "type": "file", "size": 15, "modifiedAt": _MODIFIED},
            ),
        },
    },
    {"path": "src", "entries": [{"name": "app.py", "type": "file", "size": 15, "modifiedAt": _MODIFIED}]},
)

METADATA = _either(
    "Metadata",
    _object(
        "Existing",
        {"exists": {"const": True}, **_METADATA},
        {"exists": True, "type": "file", "size": 15, "modifiedAt": _MODIFIED},
    ),
    _object("Missing", {"exists": {"const": False}}, {"exists": False}),
)

REGISTRATION = _object(
    "Registration",
    {
        "sessionId": _ID,
        "port": _PORT,
        "registered": {"const": True},
        "url": {"type": "string", "format": "uri", "description": "The preview by path, where that form is on."},
        "hostUrl": {"type": "string", "format": "uri", "description": "The preview on a host of its own."},
        "host": {"type": "string", "enum": ["auto", "public", "local"]},
        "state": {
            "type": "object",
            "required": ["host"],
            "properties": {
                "host": {
                    "type": "object",
                    "required": ["host", "path"],
                    "properties": {"host": _TOLD, "path": _TOLD},
                    "description": "What the application is told, by the form of its address; null while `auto` has "
                    "not found it.",
                }
            },
        },
    },
    {
        "sessionId": "demo",
        "port": 3000,
        "registered": True,
        "url": "http://localhost:4002/previews/demo/",
        "hostUrl": "http://3000-demo.localhost:4002/",
        "host": "auto",
        "state": {"host": {"host": "public", "path": None}},
    },
)

LINK = _object(
    "Link",
    {
        "id": {"type": "string", "description": "For revoking it."},
        "url": {**_URL, "description": "By path; null where that form is off and no port is registered."},
        "hostUrl": {**_URL, "description": "On a host of its own; null while no port is registered."},
        "expiresAt": _MOMENT,
    },
    {
        "id": "mkY3T0zUu6qjW9SaL1pBvQ",
        "url": "http://localhost:4002/previews/demo/?access_token=link.demo.…",
        "hostUrl": "http://3000-demo.localhost:4002/?access_token=link.demo.…",
        "expiresAt": "2026-01-25T12:15:00.000Z",
    },
)

HEALTH = _either(
    "Health",
    _object(
        "Healthy",
        {
            "healthy": {"const": True},
            "sessionId": _ID,
            "port": _PORT,
            "statusCode": {"type": "integer", "description": "Any HTTP status is healthy."},
        },
        {"healthy": True, "sessionId": "demo", "port": 3000, "statusCode": 200},
    ),
    _object(
        "Unhealthy",
        {"healthy": {"const": False}, "sessionId": _ID, "port": _PORT, "error": {"type": "string"}},
        {"healthy": False, "sessionId": "demo", "port": 3000, "error": "Connection refused"},
    ),
)

ALIVE = _object(
    "Alive",
    {
        "status": {"const": "alive"},
        "state": {"type": "string", "enum": ["starting", "ready", "draining"]},
        "version": {"type": "string"},
        "uptimeSeconds": {"type": "number", "minimum": 0},
    },
    {"status": "alive", "state": "ready", "version": "1.0.0", "uptimeSeconds": 86400.5},
    optional=frozenset({"state", "version", "uptimeSeconds"}),
)

_CHECKS: Schema = {
    "type": "object",
    "description": "What the daemon stands on, by name; for those who have the key.",
    "additionalProperties": _object(
        "Check",
        {
            "ok": {"type": "boolean"},
            "latencyMs": {"type": "number", "minimum": 0},
            "error": {"type": "string", "description": "What is wrong."},
        },
        {"ok": True, "latencyMs": 1.204},
        optional=frozenset({"error"}),
    ),
}

READY = _object(
    "Ready",
    {"status": {"const": "ready"}, "checks": _CHECKS},
    {
        "status": "ready",
        "checks": {"engine": {"ok": True, "latencyMs": 1.204}, "store": {"ok": True, "latencyMs": 0.31}},
    },
    optional=frozenset({"checks"}),
)

NOT_READY = _object(
    "NotReady",
    {
        "statusCode": {"const": 503},
        "error": {"type": "string"},
        "code": {"const": "NOT_READY"},
        "message": {"type": "string", "description": "Why; in detail for those who have the key."},
        "status": {"type": "string", "enum": ["starting", "unavailable", "draining"]},
        "checks": _CHECKS,
    },
    {
        "statusCode": 503,
        "error": "Service Unavailable",
        "code": "NOT_READY",
        "message": "The daemon is starting",
        "status": "starting",
    },
    optional=frozenset({"checks"}),
)
