"""A second, tiny API with everything of its own: prefix, authentication, error shape, bodies and answers in streams."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred

from sandbox.api.framework.api import Api, operations_of
from sandbox.api.framework.calls import Call, Streaming
from sandbox.api.framework.endpoint import endpoint
from sandbox.api.framework.errors import CommonErrors, error_response
from sandbox.api.framework.messages import Message, member
from sandbox.api.framework.openapi import Document, describe
from sandbox.api.framework.operation import Answer, Buffered, Streamed
from sandbox.api.framework.schemas import NO_NUL, Schema
from sandbox.domain import errors
from sandbox.domain.principals import Principal, PrincipalKind
from sandbox.http.replies import ErrorEncoder, Fields, Reply
from sandbox.http.request import Request
from sandbox.net.log_context import ORIGIN, Origin
from sandbox.policy.budget import Budget

PREFIX = "/shelf/v2"
BODY_LIMIT, UPLOAD_LIMIT = 1000, 50_000_000
_BOOK: Schema = {"type": "string", "pattern": "^[a-z]+$", "x-message": "no such name", "examples": ["emma"]}
IN_PATH = {"bookId": _BOOK}


class Readers:
    """Whose token it is, its field says."""

    def authenticate(self, request: Request) -> Principal:
        names = [field[1].decode() for field in request.headers if field.lower == b"x-reader"]
        if names not in (["alice"], ["bob"]):
            raise errors.TokenRejected("Who are you?", code="TOKEN_MISSING")
        return Principal(PrincipalKind.USER, names[0], names[0])


class ShelfErrors(ErrorEncoder):
    """``{"fault": …, "says": …}``; what is no valid request is 422."""

    table = ((errors.InvalidRequest, 422, ()), *ErrorEncoder.table)

    def refuse(self, status: int, code: str, message: str, headers: Fields = (), **further: Any) -> Reply:
        return Reply(status, {"fault": code.lower(), "says": message, **further}, headers, code)


ERRORS = ShelfErrors({errors.SessionNotFound: lambda error: {"book": "unknown"}})


class NewBook(Message, title="NewBook", closed=True, example={"bookTitle": "Emma"}):
    """A book to make."""

    book_title: str = member({**NO_NUL, "minLength": 1})
    copies: int = member({"type": "integer", "default": 1})


class Book(Message, title="Book", example={"bookTitle": "Emma", "copies": 1, "by": "user:alice"}):
    """A book."""

    book_title: str = member({"type": "string"})
    copies: int = member({"type": "integer"})
    by: str = member({"type": "string"})
    size: int | None = member({"type": "integer"}, default=None)


@attrs.define
class ShelfEndpoints:
    """What happened is kept for the tests.

    :ivar taken: bytes of uploads that were taken.
    :ivar gate: what each piece of an upload, and of a download, waits for.
    :ivar ended: how uploads and downloads ended.
    """

    called: list[str] = attrs.field(factory=list)
    taken: int = 0
    made: int = 0
    gate: Deferred[None] | None = None
    ended: list[str] = attrs.field(factory=list)
    origins: list[Origin | None] = attrs.field(factory=list)

    async def _pass(self) -> None:
        if self.gate is not None:
            passed: Deferred[None] = Deferred()
            self.gate.chainDeferred(passed)
            await passed

    @endpoint("POST", "/books", Answer(201, "It.", Book), tag="books", body=NewBook)
    async def make_book(self, call: Call) -> Book:
        """Make a book."""
        self.called.append("make_book")
        body: NewBook = call.body
        return Book(book_title=body.book_title, copies=body.copies, by=str(call.principal))

    @endpoint("POST", "/notes", Answer(204, "Kept."), tag="books", body=Buffered(NewBook, limit=100))
    async def make_note(self, call: Call) -> None:
        """Make a note: as a book, and smaller."""

    @endpoint("POST", "/books/{bookId}/lend", Answer(200, "Lent.", Book), tag="books")
    async def lend_book(self, call: Call) -> Book:
        """Lend a book."""
        self.called.append("lend_book")
        if call.in_path["bookId"] == "lost":
            raise errors.SessionNotFound("lost")
        if call.in_path["bookId"] == "burnt":
            raise RuntimeError("the inside")
        return Book(book_title=call.in_path["bookId"], copies=0, by=str(call.principal))

    @endpoint("GET", "/books", Answer(200, "All.", {"type": "array"}), tag="books")
    async def list_books(self, call: Call) -> Reply:
        """List the books."""
        return Reply(200, ["emma", "persuasion"])

    @endpoint(
        "PUT",
        "/books/{bookId}/text",
        Answer(200, "It is there.", Book),
        tag="books",
        body=Streamed("text/plain", limit=UPLOAD_LIMIT),
    )
    async def write_book(self, call: Call) -> Book:
        """Write a book's text, page by page."""
        self.called.append("write_book")
        size = 0
        try:
            async for piece in call.body:
                size += len(piece)
                self.taken += len(piece)
                await self._pass()
        except (CancelledError, Exception) as error:
            self.ended.append(type(error).__name__)
            raise
        return Book(book_title=call.in_path["bookId"], copies=1, by=str(call.principal), size=size)

    @endpoint("GET", "/books/{bookId}/text", Answer(200, "Its text.", text_type="text/plain"), tag="books")
    async def read_book(self, call: Call) -> Streaming:
        """Read a book's text, page by page."""
        pages = 3 if call.in_path["bookId"] == "emma" else 1_000_000
        return Streaming(self._pages(pages, torn=call.in_path["bookId"] == "torn"), b"text/plain")

    async def _pages(self, count: int, torn: bool) -> AsyncGenerator[bytes, None]:
        try:
            for number in range(count):
                await self._pass()
                if torn and number == 2:
                    raise RuntimeError("the inside")
                self.made += 1
                self.origins.append(ORIGIN.get())
                yield b"page %d\n" % number * (1 if count == 3 else 1000)
        except BaseException as error:
            self.ended.append(type(error).__name__)
            raise
        finally:
            self.ended.append("closed")


def _error_of(status: int, codes: list[str], further: Any) -> Schema:
    properties = {"fault": {"type": "string", "enum": [code.lower() for code in codes]}, "says": {"type": "string"}}
    return {"type": "object", "required": list(properties), "properties": properties}


DOCUMENT = Document(
    title="shelf",
    text="Books.",
    tags={"books": "All there is."},
    security={"Reader": {"type": "apiKey", "in": "header", "name": "X-Reader"}},
    errors=ERRORS,
    common=CommonErrors(
        input=(error_response(errors.InvalidRequest),), authentication=(error_response(errors.TokenRejected),)
    ),
    error={"title": "Fault", "type": "object"},
    error_of=_error_of,
    in_path=IN_PATH,
)


def description() -> dict[str, Any]:
    """The OpenAPI document."""
    return describe(DOCUMENT, operations_of(PREFIX, ShelfEndpoints))


def shelf(endpoints: ShelfEndpoints) -> Api:
    """The API."""
    return Api(
        PREFIX,
        Readers(),
        ERRORS,
        (endpoints,),
        in_path=IN_PATH,
        session="bookId",
        body_limit=BODY_LIMIT,
        memory=Budget(1_000_000),
    )
