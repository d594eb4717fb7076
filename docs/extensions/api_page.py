"""Renders the API's description as one HTML page, complete in itself: no script, nothing that is fetched.

The page is committed, as what the daemon serves; a test renders it anew and compares:

    python docs/extensions/api_page.py > sandbox/api/internal/page.html
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from markdown_it import MarkdownIt
from twisted.web.template import Flattenable, Tag, XMLString, flattenString, tags

from sandbox.api.framework.openapi_view import Json, Outline, Row, codes, operations, shape
from sandbox.api.internal.api import description

_STYLE = Path(__file__).with_suffix(".css").read_text("utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode("utf-8")).digest()).decode("ascii")
_POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'"


_MARKDOWN = MarkdownIt("commonmark", {"html": False, "xhtmlOut": True})
#: Where the page's source gets a line break: what follows is a block of its own, so that nothing of it is seen.
_BLOCK = re.compile(rb"(</(?:p|h[1-4]|ul|li|tr|table|pre|summary|details|article|section|header|nav|style|title)>)")


def render(document: Json) -> bytes:
    """The page of a document of :func:`sandbox.api.framework.openapi.describe`."""
    info = document["info"]
    page = tags.html(
        tags.head(
            tags.meta(charset="utf-8"),
            tags.meta(name="viewport", content="width=device-width, initial-scale=1"),
            tags.meta(**{"http-equiv": "Content-Security-Policy", "content": _POLICY}),
            tags.title(f"{info['title']} API {info['version']}"),
            tags.style(_STYLE),
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
    return b"<!doctype html>\n" + _BLOCK.sub(rb"\1\n", found[0]) + b"\n"


def _contents(document: Json) -> Iterator[Tag]:
    for tag in document["tags"]:
        yield tags.h2(tag["name"])
        links = (tags.a(one.name, href=f"#{one.name}", title=one.summary) for one in operations(document, tag["name"]))
        yield tags.ul(*(tags.li(link) for link in links))


def _section(document: Json, tag: Json) -> Tag:
    articles = [_article(document, one) for one in operations(document, tag["name"])]
    return tags.section(tags.h2(tag["name"]), *_blocks(tag["description"]), *articles)


def _article(document: Json, operation: Outline) -> Tag:
    parts: list[Flattenable] = [
        tags.h3(tags.a(operation.name, href=f"#{operation.name}")),
        tags.p(tags.code(tags.span(operation.method, class_="method"), " ", operation.path)),
        tags.p(*_inline(operation.summary), class_="summary"),
        *_blocks(operation.text),
    ]
    if operation.parameters:
        parts += [tags.h4("Parameters"), _table(operation.parameters)]
    if operation.body is not None:
        parts += [tags.h4("Body"), *_shape(document, operation.body)]
    if operation.curl:
        parts += [tags.h4("With curl"), tags.pre(tags.code(operation.curl))]
    parts.append(tags.h4("Answers"))
    parts += [_answer(document, status, one) for status, one in operation.answers.items()]
    return tags.article(*parts, id=operation.name)


def _answer(document: Json, status: str, answer: Json) -> Tag:
    good = status.startswith("2")
    phrase = HTTPStatus(int(status)).phrase if status.isdigit() else "any status"
    headline = tags.summary(
        tags.span(status, class_="status good" if good else "status"),
        f" {phrase} ",
        tags.span(", ".join(codes(answer)), class_="codes"),
    )
    parts: list[Flattenable] = [headline, *_blocks(answer["description"])]
    for media_type, content in answer.get("content", {}).items():
        if media_type != "application/json":
            parts.append(tags.p("As ", tags.code(media_type), "."))
        elif not codes(answer):
            parts += _shape(document, content["schema"])
    return tags.details(*parts, **({} if codes(answer) else {"open": "open"}))


def _shape(document: Json, schema: Json) -> Iterator[Flattenable]:
    variants, examples = shape(document, schema)
    yield from map(_table, variants)
    for example in examples:
        yield tags.pre(tags.code(json.dumps(example, indent=2, ensure_ascii=False)))


def _table(rows: list[Row]) -> Tag:
    cells = (
        (tags.th(tags.code(row.name), tags.small(row.note), scope="row"), tags.td(*_inline(row.text))) for row in rows
    )
    return tags.table(*(tags.tr(*pair) for pair in cells))


def _blocks(text: str) -> list[Flattenable]:
    """The paragraphs and lists of a description."""
    return _parsed(_MARKDOWN.render(text))


def _inline(text: str) -> list[Flattenable]:
    return _parsed(_MARKDOWN.renderInline(text))


def _parsed(html: str) -> list[Flattenable]:
    namespace = "http://twistedmatrix.com/ns/twisted.web.template/0.1"
    return XMLString(f'<t:transparent xmlns:t="{namespace}">{html}</t:transparent>').load()


if __name__ == "__main__":
    sys.stdout.buffer.write(render(description()))
