"""View model of the API's description, shared by the API page and the documentation's reference."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

Json = Mapping[str, Any]
_SERVER = "http://127.0.0.1:4002"
_JSON = "application/json"


@attrs.frozen
class Row:
    """A parameter or a field.

    :ivar note: its place, whether it is required, its type.
    :ivar text: its description and permitted values, in Markdown.
    """

    name: str
    note: str
    text: str


@attrs.frozen
class Outline:
    """An operation.

    :ivar parameters: of path, query and head.
    :ivar body: the schema of its JSON body, or ``None``.
    :ivar answers: by status, or by ``default``.
    :ivar curl: a command that sends a request made of the examples; ``""`` where an application responds.
    """

    name: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Row]
    body: Json | None
    answers: Mapping[str, Json]
    curl: str


def operations(document: Json, tag: str) -> Iterator[Outline]:
    """The operations with a tag."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and tag in operation["tags"]:
                yield _outline(document, path, method.upper(), item, operation)


def _outline(document: Json, path: str, method: str, item: Json, operation: Json) -> Outline:
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    answers = dict(sorted(operation["responses"].items()))
    body = operation.get("requestBody", {}).get("content", {}).get(_JSON, {}).get("schema")
    target = _target(path, parameters)
    example = None if body is None else _resolved(document, body)
    return Outline(
        name=operation["operationId"],
        method=method,
        path=path,
        summary=operation["summary"] + ".",
        text=operation.get("description", ""),
        parameters=[_parameter(document, one) for one in parameters],
        body=body,
        answers=answers,
        curl="" if "default" in answers else _curl(method, target, bool(operation["security"]), example),
    )


def shape(document: Json, schema: Json) -> tuple[list[list[Row]], list[Any]]:
    """The fields of each variant of a schema, and its examples."""
    known = _resolved(document, schema)
    variants = [list(_rows(document, _resolved(document, one))) for one in known.get("oneOf", [known])]
    return [rows for rows in variants if rows], list(known.get("examples", ()))


def codes(answer: Json) -> list[str]:
    """The error codes of a response."""
    schema = answer.get("content", {}).get(_JSON, {}).get("schema", {})
    found: list[str] = []
    for variant in schema.get("oneOf", [schema]):
        found += variant.get("properties", {}).get("code", {}).get("enum", ())
    return found


def _rows(document: Json, schema: Json, prefix: str = "") -> Iterator[Row]:
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        known = _resolved(document, member)
        yield _row(prefix + name, name in required, known)
        if "items" in known:
            yield from _rows(document, _resolved(document, known["items"]), f"{prefix}{name}[].")


def _parameter(document: Json, parameter: Json) -> Row:
    known = {"description": parameter.get("description", ""), **_resolved(document, parameter["schema"])}
    return _row(parameter["name"], parameter["required"], known, parameter["in"])


def _row(name: str, required: bool, schema: Json, place: str = "") -> Row:
    note = ", ".join(part for part in (place, "required" if required else "", _kind(schema)) if part)
    text = " ".join(filter(None, [schema.get("description", ""), _bounds(schema)]))
    return Row(name, note, text)


def _kind(schema: Json) -> str:
    if "const" in schema:
        return json.dumps(schema["const"])
    if "oneOf" in schema:
        return " or ".join(_kind(variant) for variant in schema["oneOf"])
    kinds = schema.get("type", "any")
    return kinds if isinstance(kinds, str) else " or ".join(kinds)


def _bounds(schema: Json) -> str:
    found = []
    if "enum" in schema:
        found.append("one of " + ", ".join(f"`{value}`" for value in schema["enum"]))
    if "pattern" in schema and "format" not in schema and "\\x00" not in schema["pattern"]:
        found.append(f"matches `{schema['pattern']}`")
    if "minimum" in schema or "maximum" in schema:
        lowest, highest = schema.get("minimum"), schema.get("maximum")
        found.append(f"at least {lowest}" if highest is None else f"{lowest} to {highest}")
    if "maxLength" in schema:
        found.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        found.append(f"default `{json.dumps(schema['default'])}`")
    return f"({'; '.join(found)})" if found else ""


def _resolved(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def _target(path: str, parameters: list[Json]) -> str:
    query = []
    for parameter in parameters:
        example = str(next(iter(parameter["schema"].get("examples", ())), ""))
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", example)
        elif parameter["in"] == "query" and parameter["required"]:
            query.append(f"{parameter['name']}={example}")
    return _SERVER + path + ("?" + "&".join(query) if query else "")


def _curl(method: str, target: str, guarded: bool, body: Json | None) -> str:
    words = ["curl"] if method == "GET" else ["curl", "-X", method]
    words.append(shlex.quote(target) if "?" in target else target)
    if guarded:
        words += ["\\\n ", "-H", '"X-Internal-Service-Key: $INTERNAL_SERVICE_KEY"']
    if body is not None:
        words += ["\\\n ", "-d", shlex.quote(json.dumps(body["examples"][0], ensure_ascii=False))]
    return " ".join(words)
