"""The one decorator of the API's endpoints: check the id and the body, call, encode what comes back.

The service key and the body's size are judged before, at the door (:mod:`sandbox.api.guard`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import attrs
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.http import Request
from werkzeug.exceptions import HTTPException

from sandbox.api.schemas import Schema, compiled, load
from sandbox.errors import InvalidRequest
from sandbox.http.replies import Reply, error_reply, reply_to

PREFIX = "/api/internal"
_SESSION_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@attrs.frozen
class Call:
    """A request as an endpoint sees it.

    :ivar session_id: the id in the path, checked; ``""`` where the path has none.
    :ivar body: the checked body; empty where the endpoint takes none.
    :ivar raw: the body's bytes.
    """

    session_id: str
    body: Mapping[str, Any]
    raw: bytes
    request: Request
    params: Mapping[str, str] = attrs.field(factory=dict)

    def query(self, name: str, errors: str = "strict") -> str | None:
        """A query parameter; ``None`` when missing or empty.

        :param errors: ``"surrogateescape"`` for names of files, in which any byte may stand.
        :raises InvalidRequest: when it is given twice, or is not UTF-8.
        """
        values = (self.request.args or {}).get(name.encode("ascii"), [])
        if len(values) > 1:
            raise InvalidRequest(f"Query parameter '{name}' is given more than once")
        try:
            return values[0].decode("utf-8", errors) or None if values else None
        except UnicodeDecodeError:
            raise InvalidRequest(f"Query parameter '{name}' is not UTF-8") from None


Endpoint = Callable[[Any, Call], Awaitable[Reply]]
E = TypeVar("E", bound=Endpoint)


@attrs.frozen
class Route:
    """What the API's description needs to know of an endpoint."""

    method: str
    path: str
    schema: Schema | None
    function: Endpoint


def endpoint(app: Klein, routes: list[Route], method: str, path: str, schema: Schema | None = None) -> Callable[[E], E]:
    """Make a coroutine method ``(self, call) -> Reply`` the endpoint of a method and path under ``/api/internal``."""
    validator = None if schema is None else compiled(schema)

    def decorate(function: E) -> E:
        routes.append(Route(method, PREFIX + path, schema, function))

        @app.route(PREFIX + path, methods=[method], endpoint=f"{method} {path}")
        def respond(self: Any, request: Request, session_id: str = "", **params: str) -> Deferred[bytes]:
            async def act() -> Reply:
                if session_id and not _SESSION_ID.fullmatch(session_id):
                    raise InvalidRequest("Session id must match [A-Za-z0-9_-]{1,64}")
                raw = b"" if request.content is None else request.content.read()
                body = {} if validator is None else load(raw, validator)
                return await function(self, Call(session_id, body, raw, request, params))

            work = Deferred.fromCoroutine(act())
            # Whoever hung up does not want the work done: a command is killed, a creation undone.
            request.notifyFinish().addErrback(lambda _: work.cancel())
            return work.addErrback(_failed).addCallback(send, request)

        return function

    return decorate


def _failed(failure: Failure) -> Reply:
    if failure.check(CancelledError):
        return Reply(499, None)  # The client hung up: nobody reads this, but it ends the request.
    return reply_to(failure)


def send(reply: Reply, request: Request) -> bytes:
    """Put a reply's head on the request; the answer is the body to write."""
    request.setResponseCode(reply.status)
    if reply.payload is not None:
        request.setHeader(b"content-type", b"application/json; charset=utf-8")
    for name, value in reply.headers:
        request.setHeader(name, value)
    return reply.body()


def refuse_route(request: Request, error: HTTPException) -> bytes:
    """Werkzeug's own refusals (no such path, wrong method) in the contract's error shape, not as HTML."""
    if error.code == 405:
        methods = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        reply = error_reply(405, "METHOD_NOT_ALLOWED", "Method not allowed", ((b"allow", methods.encode("ascii")),))
    else:
        reply = error_reply(404, "NOT_FOUND", "No such endpoint")
    return send(reply, request)
