"""``{api}``: every operation of the daemon's API, from its OpenAPI description."""

from __future__ import annotations

import json
from http import HTTPStatus

from pages import Generated, table
from sphinx.application import Sphinx

from sandbox.api.framework.openapi_view import Json, Outline, Row, codes, operations, shape
from sandbox.api.internal.api import description


class Api(Generated):
    """A section a tag, in it one an operation."""

    def lines(self) -> list[str]:
        """In the description's order."""
        document = description()
        found = []
        for tag in document["tags"]:
            found += [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
            for operation in operations(document, tag["name"]):
                found += _operation(document, operation)
        return found


def _operation(document: Json, operation: Outline) -> list[str]:
    lines = [f"### `{operation.name}`", "", f"`{operation.method} {operation.path}`", "", operation.summary, ""]
    lines += [operation.text, ""]
    if operation.parameters:
        lines += _rows("parameter", operation.parameters)
    if operation.body is not None:
        lines += ["The body:", "", *_shape(document, operation.body)]
    if operation.curl:
        lines += ["```sh", *operation.curl.splitlines(), "```", ""]
    errors = []
    for status, answer in operation.answers.items():
        if status == "default":
            lines += [*answer["description"].splitlines(), ""]
        elif codes(answer):
            errors.append((status, HTTPStatus(int(status)).phrase, ", ".join(f"`{code}`" for code in codes(answer))))
        else:
            lines += [f"**{status} {HTTPStatus(int(status)).phrase}**: {answer['description']}", ""]
            for content in answer.get("content", {}).values():
                lines += _shape(document, content["schema"])
    return lines + (table(("status", "", "codes"), errors) if errors else [])


def _shape(document: Json, schema: Json) -> list[str]:
    variants, examples = shape(document, schema)
    lines = [line for rows in variants for line in _rows("field", rows)]
    for example in examples:
        lines += ["```json", *json.dumps(example, indent=2, ensure_ascii=False).splitlines(), "```", ""]
    return lines


def _rows(head: str, rows: list[Row]) -> list[str]:
    return table((head, "", "meaning"), [(f"`{row.name}`", row.note, row.text) for row in rows])


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx asks for it."""
    app.add_directive("api", Api)
    return {"parallel_read_safe": True}
