"""The API as an OpenAPI 3.1 document, made from what its endpoints are declared with."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from sandbox import __version__
from sandbox.api.framework.error_responses import ErrorResponse
from sandbox.api.framework.operation import JSON, Answer, Auth, Operation, Parameter
from sandbox.api.internal.schemas import Schema

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

_KEY = "ServiceKey"
_SECURITY: Mapping[Auth, list[dict[str, list[str]]]] = {
    Auth.REQUIRED: [{_KEY: []}],
    Auth.OPTIONAL: [{_KEY: []}, {}],
    Auth.NONE: [],
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

_REQUEST_ID = "X-Request-Id"
_HEADERS: Mapping[str, dict[str, Any]] = {
    _REQUEST_ID: {
        "description": "The request's name in the daemon's log; a trusted proxy's own where it gives one.",
        "required": True,
        "schema": {"type": "string"},
    },
    "Retry-After": {
        "description": "Seconds after which another try makes sense.",
        "required": True,
        "schema": {"type": "string", "pattern": "^[0-9]+$"},
    },
}


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """The document; the same for each daemon of one version.

    :param operations: in the order in which readers shall see them.
    """
    schemas: dict[str, Schema] = {}
    _named(_ERROR, schemas)
    paths: dict[str, dict[str, Any]] = {}
    used = set()
    for operation in operations:
        used.add(operation.tag)
        item = paths.setdefault(operation.path, {})
        if operation.in_path:
            item["parameters"] = [
                _parameter(Parameter("path", name, schema, required=True)) for name, schema in operation.in_path.items()
            ]
        item[operation.method.lower()] = _named(_operation(operation), schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "sandbox", "version": __version__, "description": _TEXT},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": dict(_HEADERS),
            "securitySchemes": {
                _KEY: {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Internal-Service-Key",
                    "description": "The daemon's `INTERNAL_SERVICE_KEY`.",
                }
            },
        },
    }


def _operation(operation: Operation) -> dict[str, Any]:
    summary, _, text = operation.text.partition("\n")
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": summary.rstrip("."),
        "security": _SECURITY[operation.auth],
    }
    if text.strip():
        found["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip())
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        found["requestBody"] = {
            "required": "required" in operation.body,
            "content": {JSON: {"schema": operation.body}},
        }
    found["responses"] = _responses(operation)
    return found


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    text = schema.pop("description", None)
    found: dict[str, Any] = {"name": parameter.name, "in": parameter.place, "required": parameter.required}
    return {**found, **({"description": text} if text else {}), "schema": schema}


def _responses(operation: Operation) -> dict[str, Any]:
    found = {str(answer.status): _answer(answer) for answer in operation.answers}
    by_status: dict[int, list[ErrorResponse]] = {}
    for error in operation.errors:
        by_status.setdefault(error.status, []).append(error)
    errors = {str(status): _refusal(status, errors) for status, errors in sorted(by_status.items())}
    if not operation.answers:
        # Whatever a container says, errors of any status among it: ours can only be told in words.
        words = "\n\n".join(f"**{status}**\n\n{refusal['description']}" for status, refusal in errors.items())
        return {"default": {"description": f"What the application answers; or an `Error`:\n\n{words}"}}
    # A status may stand for success and for an error: /readyz says 503 with its own body.
    return {**errors, **found}


def _answer(answer: Answer) -> dict[str, Any]:
    found: dict[str, Any] = {"description": answer.meaning, "headers": _headers([_REQUEST_ID])}
    if answer.schema is not None:
        found["content"] = {JSON: {"schema": answer.schema}}
    elif answer.text_type is not None:
        found["content"] = {answer.text_type: {"schema": {"type": "string"}}}
    if answer.links:
        found["links"] = {
            name: {"operationId": name, "parameters": _linked(parameter)} for name, parameter in answer.links.items()
        }
    return found


def _linked(parameter: str) -> dict[str, str]:
    session = {} if parameter == "sessionId" else {"sessionId": "$request.path.sessionId"}
    return {**session, parameter: "$response.body#/id"}


def _refusal(status: int, errors: list[ErrorResponse]) -> dict[str, Any]:
    meanings: dict[str, list[str]] = {}
    fields = {_REQUEST_ID}
    for error in errors:
        meanings.setdefault(error.meaning, []).extend(error.codes)
        fields |= {name.decode("ascii").title() for name, _ in error.headers}
    lines = [f"- {', '.join(f'`{code}`' for code in codes)}: {meaning}" for meaning, codes in meanings.items()]
    return {
        "description": "\n".join(lines),
        "headers": _headers(sorted(fields)),
        "content": {JSON: {"schema": _error_schema(status, errors)}},
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error_schema(status: int, errors: list[ErrorResponse]) -> Schema:
    plain = [code for error in errors if not error.details for code in error.codes]
    variants = [_error(status, plain, {})] if plain else []
    variants += [_error(status, list(error.codes), error.details) for error in errors if error.details]
    return variants[0] if len(variants) == 1 else {"oneOf": variants}


def _error(status: int, codes: list[str], details: Mapping[str, Schema]) -> Schema:
    # Whole and plain, not `Error` narrowed by allOf and const: generators of clients leave such answers out.
    fields: dict[str, Schema] = _ERROR["properties"]
    return {
        "type": "object",
        "required": [*fields, *details],
        "properties": {
            "statusCode": {**fields["statusCode"], "enum": [status]},
            "error": {**fields["error"], "enum": [HTTPStatus(status).phrase]},
            "code": {**fields["code"], "enum": list(dict.fromkeys(codes))},
            "message": fields["message"],
            **details,
        },
    }


def _named(value: Any, schemas: dict[str, Schema]) -> Any:
    """A value in which schemas that have a title are references; they themselves are added to ``schemas``."""
    if isinstance(value, list):
        return [_named(member, schemas) for member in value]
    if not isinstance(value, dict):
        return value
    found = {name: member if name == "examples" else _named(member, schemas) for name, member in value.items()}
    if not isinstance(value.get("title"), str):
        return found
    name = found.pop("title")
    if schemas.setdefault(name, found) != found:
        raise ValueError(f"two schemas are called {name}")
    return {"$ref": f"#/components/schemas/{name}"}
