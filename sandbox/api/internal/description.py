"""What the description of the internal API says beside its operations."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

from sandbox.api.framework.openapi import Document
from sandbox.api.framework.schemas import Schema
from sandbox.api.internal.errors import COMMON, ERRORS
from sandbox.api.internal.wire.parameters import IN_PATH

_TEXT = """\
What a platform asks of the daemon between it and the containers that its users' code runs in.

**Key.** Everything under `/api/internal/` and `/internal-previews/` needs the field `X-Internal-Service-Key`. It is
looked at first: without it the answer is 403, whatever the path.

**Bodies** are JSON in UTF-8, of at most `BODY_LIMIT` bytes (10 MiB). A field that is unknown is refused, and so is an
object that has a name twice. So is a query parameter that is unknown, or that comes twice. Numbers that are to be
integers are written without a fraction.

**Errors** have one shape, `Error`. `message` is for people, `code` is for programs and stable; new versions may bring
new codes, so go by the status where a code is unknown. Beside those that each operation lists there are the refusals
of requests that are no HTTP or no endpoint: 400 `MALFORMED_REQUEST`, 404 `NOT_FOUND`, 405 `METHOD_NOT_ALLOWED` (with
`Allow`), 408 `REQUEST_TIMEOUT` and `UPLOAD_TIMEOUT`, 413 `BODY_TOO_LARGE`, 414 `URI_TOO_LONG` and 431
`HEADERS_TOO_LARGE`.

**Again?** After a 503, trying again later may succeed; `Retry-After` says when. `exec` runs a command once, however
often it is sent, when it carries an `Idempotency-Key`. `HEAD` is answered wherever `GET` is.

**Names.** Every answer has an `X-Request-Id`, which stands in the lines of the daemon's log. An operation's
`operationId` is the name of its method in the Python SDK, `sandbox.client`.
"""

_TAGS = {
    "sessions": "A container and a workspace, from creation to deletion.",
    "commands": "Programs run in a session's container.",
    "files": "Text files under `/workspace`, which outlives stop and start.",
    "previews": "The web application in a session, for browsers.",
    "operations": "How the daemon is.",
    "description": "This document.",
}

_ERROR: Schema = {
    "title": "Error",
    "type": "object",
    "required": ["statusCode", "error", "code", "message"],
    "properties": {
        "statusCode": {"type": "integer", "description": "The HTTP status."},
        "error": {"type": "string", "description": "The status in words."},
        "code": {"type": "string", "description": "Why, for programs."},
        "message": {"type": "string", "description": "Why, for people."},
    },
}


def _error_of(status: int, codes: list[str], further: Mapping[str, Schema]) -> Schema:
    # Whole and plain, not `Error` narrowed by allOf and const: generators of clients leave such answers out.
    fields: dict[str, Schema] = _ERROR["properties"]
    return {
        "type": "object",
        "required": [*fields, *further],
        "properties": {
            "statusCode": {**fields["statusCode"], "enum": [status]},
            "error": {**fields["error"], "enum": [HTTPStatus(status).phrase]},
            "code": {**fields["code"], "enum": list(dict.fromkeys(codes))},
            "message": fields["message"],
            **further,
        },
    }


DOCUMENT = Document(
    title="sandbox",
    text=_TEXT,
    tags=_TAGS,
    security={
        "ServiceKey": {
            "type": "apiKey",
            "in": "header",
            "name": "X-Internal-Service-Key",
            "description": "The daemon's `INTERNAL_SERVICE_KEY`.",
        }
    },
    errors=ERRORS,
    common=COMMON,
    error=_ERROR,
    error_of=_error_of,
    in_path=IN_PATH,
)
