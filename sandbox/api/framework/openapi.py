"""OpenAPI 3.1 document of an API, generated from the declarations of its endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs

from sandbox import __version__
from sandbox.api.framework.errors import CommonErrors, ErrorResponse
from sandbox.api.framework.operation import JSON, Answer, Auth, Buffered, Operation, Parameter, Streamed
from sandbox.api.framework.schemas import Schema
from sandbox.http.replies import ErrorEncoder


@attrs.frozen(kw_only=True)
class Document:
    """The parts of an API's description besides its operations.

    :ivar text: the introduction.
    :ivar tags: the tags' descriptions, in the order of presentation.
    :ivar security: the security scheme, by its name.
    :ivar errors: the API's own encoder.
    :ivar error: the schema of any error; it has a title.
    :ivar error_of: makes the schema of the errors with one status, from their codes and additional fields.
    :ivar in_path: the schemas of path parameters.
    """

    title: str
    text: str
    tags: Mapping[str, str]
    security: Mapping[str, Mapping[str, str]]
    errors: ErrorEncoder
    common: CommonErrors
    error: Schema
    error_of: Callable[[int, list[str], Mapping[str, Schema]], Schema]
    in_path: Mapping[str, Schema]


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


def describe(document: Document, operations: Iterable[Operation]) -> dict[str, Any]:
    """The document; the same for each daemon of one version.

    :param operations: in the order of presentation.
    """
    schemas: dict[str, Schema] = {}
    _named(document.error, schemas)
    paths: dict[str, dict[str, Any]] = {}
    used = set()
    for operation in operations:
        used.add(operation.tag)
        item = paths.setdefault(operation.path, {})
        in_path = operation.in_path(document.in_path)
        if in_path:
            item["parameters"] = [
                _parameter(Parameter("path", name, schema, required=True)) for name, schema in in_path.items()
            ]
        item[operation.method.lower()] = _named(_operation(document, operation), schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": document.title, "version": __version__, "description": document.text},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/", "description": "Where this document came from."}],
        "tags": [{"name": name, "description": text} for name, text in document.tags.items() if name in used],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "headers": dict(_HEADERS),
            "securitySchemes": {name: dict(scheme) for name, scheme in document.security.items()},
        },
    }


def _security(document: Document, auth: Auth) -> list[dict[str, list[str]]]:
    schemes: list[dict[str, list[str]]] = [{name: []} for name in document.security]
    return [] if auth is Auth.NONE else [*schemes, {}] if auth is Auth.OPTIONAL else schemes


def _operation(document: Document, operation: Operation) -> dict[str, Any]:
    summary, _, text = operation.text.partition("\n")
    found: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": summary.rstrip("."),
        "security": _security(document, operation.auth),
    }
    if text.strip():
        found["description"] = re.sub(r"(?<!\n)\n(?!\n)", " ", text.strip())
    if operation.parameters:
        found["parameters"] = [_parameter(parameter) for parameter in operation.parameters]
    if operation.body is not None:
        found["requestBody"] = _body(operation.body)
    found["responses"] = _responses(document, operation)
    return found


def _body(body: Buffered | Streamed) -> dict[str, Any]:
    if isinstance(body, Streamed):
        return {"required": True, "content": {body.media_type: {}}}
    schema = body.message.schema
    return {"required": "required" in schema, "content": {JSON: {"schema": schema}}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    schema = dict(parameter.schema)
    text = schema.pop("description", None)
    found: dict[str, Any] = {"name": parameter.name, "in": parameter.place, "required": parameter.required}
    return {**found, **({"description": text} if text else {}), "schema": schema}


def _responses(document: Document, operation: Operation) -> dict[str, Any]:
    found = {str(answer.status): _answer(answer) for answer in operation.answers}
    by_status: dict[int, list[ErrorResponse]] = {}
    for error in operation.errors(document.common):
        by_status.setdefault(document.errors.answer_to(error.kind)[0], []).append(error)
    errors = {str(status): _refusal(document, status, errors) for status, errors in sorted(by_status.items())}
    if not operation.answers:
        # The response is the application's, of any status: the daemon's own errors are described in text only.
        words = "\n\n".join(f"**{status}**\n\n{refusal['description']}" for status, refusal in errors.items())
        return {"default": {"description": f"What the application answers; or an `Error`:\n\n{words}"}}
    # A status may belong to a result and to an error: /readyz responds with 503 and a body of its own.
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


def _refusal(document: Document, status: int, errors: list[ErrorResponse]) -> dict[str, Any]:
    meanings: dict[str, list[str]] = {}
    fields = {_REQUEST_ID}
    for error in errors:
        meanings.setdefault(error.meaning, []).extend(error.codes)
        fields |= {name.decode("ascii").title() for name, _ in document.errors.answer_to(error.kind)[1]}
    lines = [f"- {', '.join(f'`{code}`' for code in codes)}: {meaning}" for meaning, codes in meanings.items()]
    return {
        "description": "\n".join(lines),
        "headers": _headers(sorted(fields)),
        "content": {JSON: {"schema": _error_schema(document, status, errors)}},
    }


def _headers(names: Iterable[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _error_schema(document: Document, status: int, errors: list[ErrorResponse]) -> Schema:
    plain = [code for error in errors if not error.further for code in error.codes]
    variants = [document.error_of(status, plain, {})] if plain else []
    variants += [document.error_of(status, list(error.codes), error.further) for error in errors if error.further]
    return variants[0] if len(variants) == 1 else {"oneOf": variants}


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
