"""The API's description as one HTML page, complete in itself: no script, nothing that is fetched."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from functools import cache
from http import HTTPStatus
from pathlib import Path
from typing import Any

from twisted.web.template import Flattenable, Tag, flattenString, tags

Json = Mapping[str, Any]

_INLINE = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*")
_SERVER = "http://127.0.0.1:4002"


@cache
def _style() -> str:
    return Path(__file__).with_name("page.css").read_text("utf-8")


def _policy() -> str:
    digest = base64.b64encode(hashlib.sha256(_style().encode("utf-8")).digest()).decode("ascii")
    return f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def fields() -> tuple[tuple[bytes, bytes], ...]:
    """The header fields that the page is served with: a browser then runs and fetches nothing for it."""
    return (
        (b"content-security-policy", f"{_policy()}; frame-ancestors 'none'".encode("ascii")),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )


def render(document: Json) -> bytes:
    """The page of a document of :func:`sandbox.api.description.describe`."""
    info = document["info"]
    page = tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.meta(**{"http-equiv": "Content-Security-Policy", "content": _policy()}),
            tags.title(f"{info['title']} API {info['version']}"),
            tags.style(_style()),
        ),
        tags.body(
            tags.header(tags.h1(f"{info['title']} API"), tags.p(f"version {info['version']}", class_="version")),
            tags.nav(*_contents(document)),
            Tag("main")(
                tags.section(*_blocks(info["description"])),
                *(_section(document, tag) for tag in document["tags"]),
            ),
        ),
        lang="en",
    )
    found: list[bytes] = []
    # Nothing in it waits for anything, so it is there at once.
    flattenString(None, page).addCallback(found.append)
    return b"<!doctype html>\n" + found[0] + b"\n"


def _operations(document: Json, tag: str) -> Iterator[tuple[str, str, Json, Json]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method != "parameters" and tag in operation["tags"]:
                yield path, method.upper(), operation, item


def _contents(document: Json) -> Iterator[Tag]:
    for tag in document["tags"]:
        yield tags.h2(tag["name"])
        yield tags.ul(
            *(
                tags.li(tags.a(_id(operation), href=f"#{_id(operation)}", title=operation["summary"]))
                for _, _, operation, _ in _operations(document, tag["name"])
            )
        )


def _id(operation: Json) -> str:
    return str(operation["operationId"])


def _section(document: Json, tag: Json) -> Tag:
    articles = [_article(document, *found) for found in _operations(document, tag["name"])]
    return tags.section(tags.h2(tag["name"]), *_blocks(tag["description"]), *articles)


def _article(document: Json, path: str, method: str, operation: Json, item: Json) -> Tag:
    parameters = [*item.get("parameters", ()), *operation.get("parameters", ())]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    parts: list[Flattenable] = [
        tags.h3(tags.a(_id(operation), href=f"#{_id(operation)}")),
        tags.p(tags.code(tags.span(method, class_="method"), " ", path)),
        tags.p(*_inline(operation["summary"] + "."), class_="summary"),
        *_blocks(operation.get("description", "")),
    ]
    if parameters:
        parts += [tags.h4("Parameters"), _table(_parameter_row(document, one) for one in parameters)]
    if content is not None:
        parts += [tags.h4("Body"), *_shape(document, content["schema"])]
    if "default" not in operation["responses"]:
        parts += [tags.h4("With curl"), tags.pre(tags.code(curl(document, path, method)))]
    parts.append(tags.h4("Answers"))
    parts += [_response(document, status, one) for status, one in sorted(operation["responses"].items())]
    return tags.article(*parts, id=_id(operation))


def _response(document: Json, status: str, response: Json) -> Tag:
    good = status.startswith("2")
    phrase = HTTPStatus(int(status)).phrase if status.isdigit() else "any status"
    headline = tags.summary(
        tags.span(status, class_="status good" if good else "status"),
        f" {phrase} ",
        *([] if good else [tags.span(", ".join(_codes(document, response)), class_="codes")]),
    )
    parts: list[Flattenable] = [headline, *_blocks(response["description"])]
    for name, header in response.get("headers", {}).items():
        parts.append(tags.p("Header ", tags.code(name), " ", *_inline(header.get("description", ""))))
    for media_type, content in response.get("content", {}).items():
        if good and media_type == "application/json" and content.get("schema", {}) != {"type": "object"}:
            parts += _shape(document, content["schema"])
        elif media_type != "application/json":
            parts.append(tags.p("As ", tags.code(media_type), "."))
    return tags.details(*parts, **({"open": "open"} if good or not status.isdigit() else {}))


def _codes(document: Json, response: Json) -> list[str]:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    found: list[str] = []
    for variant in schema.get("oneOf", [schema]):
        for part in variant.get("allOf", ()):
            found += part.get("properties", {}).get("code", {}).get("enum", ())
    return found


def _shape(document: Json, schema: Json) -> Iterator[Flattenable]:
    """A schema's fields, and its examples."""
    known = _resolved(document, schema)
    for variant in known.get("oneOf", [known]):
        yield _table(_rows(document, _resolved(document, variant)))
    for example in known.get("examples", ()):
        yield tags.pre(tags.code(json.dumps(example, indent=2, ensure_ascii=False)))


def _rows(document: Json, schema: Json, prefix: str = "") -> Iterator[Tag]:
    required = schema.get("required", ())
    for name, member in schema.get("properties", {}).items():
        known = _resolved(document, member)
        yield _row(prefix + name, name in required, known)
        if "items" in known:
            yield from _rows(document, _resolved(document, known["items"]), f"{prefix}{name}[].")


def _parameter_row(document: Json, parameter: Json) -> Tag:
    known = {"description": parameter.get("description", ""), **_resolved(document, parameter["schema"])}
    return _row(parameter["name"], parameter["required"], known, parameter["in"])


def _row(name: str, required: bool, schema: Json, place: str = "") -> Tag:
    note = " · ".join(part for part in (place, "required" if required else "", _kind(schema)) if part)
    text = [*_inline(schema.get("description", "")), *_inline(_bounds(schema))]
    return tags.tr(tags.th(tags.code(name), tags.small(note), scope="row"), tags.td(*text))


def _table(rows: Iterator[Tag]) -> Tag:
    return tags.table(*rows)


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
    if "minimum" in schema or "maximum" in schema:
        lowest, highest = schema.get("minimum"), schema.get("maximum")
        found.append(f"at least {lowest}" if highest is None else f"{lowest} to {highest}")
    if "maxLength" in schema:
        found.append(f"at most {schema['maxLength']} characters")
    if "default" in schema:
        found.append(f"default `{json.dumps(schema['default'])}`")
    return f" ({'; '.join(found)})" if found else ""


def _resolved(document: Json, schema: Json) -> Json:
    if "$ref" not in schema:
        return schema
    found: Json = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return found


def curl(document: Json, path: str, method: str) -> str:
    """A command that makes a request, of the examples."""
    item = document["paths"][path]
    operation = item[method.lower()]
    query = []
    for parameter in (*item.get("parameters", ()), *operation.get("parameters", ())):
        example = next(iter(parameter["schema"].get("examples", ())), None)
        if parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(example))
        elif parameter["in"] == "query" and parameter["required"]:
            query.append(f"{parameter['name']}={example}")
    target = _SERVER + path + ("?" + "&".join(query) if query else "")
    words = ["curl"] if method == "GET" else ["curl", "-X", method]
    words += [shlex.quote(target) if query else target]
    if operation["security"]:
        words += ["\\\n ", "-H", '"X-Internal-Service-Key: $INTERNAL_SERVICE_KEY"']
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is not None:
        example = _resolved(document, content["schema"])["examples"][0]
        words += ["\\\n ", "-d", shlex.quote(json.dumps(example, ensure_ascii=False))]
    return " ".join(words)


def _blocks(text: str) -> Iterator[Tag]:
    """Paragraphs and lists of the Markdown that descriptions are written in."""
    for block in filter(None, re.split(r"\n\s*\n", text.strip())):
        if block.startswith("- "):
            yield tags.ul(*(tags.li(*_inline(line)) for line in re.split(r"(?:^|\n)- ", block)[1:]))
        else:
            yield tags.p(*_inline(block.replace("\n", " ")))


def _inline(text: str) -> Iterator[Flattenable]:
    end = 0
    for found in _INLINE.finditer(text):
        yield text[end : found.start()]
        code, strong, emphasis = found.groups()
        yield tags.code(code) if code else tags.strong(strong) if strong else tags.em(emphasis)
        end = found.end()
    yield text[end:]
