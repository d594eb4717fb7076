"""The one decorator of the API's endpoints: check what is asked, call, encode what comes back; and describe all that.

The service key and the body's size are judged before, at the door (:mod:`sandbox.api.framework.guard`).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import attrs
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from werkzeug.exceptions import HTTPException

from sandbox.api.framework.error_responses import ErrorResponses
from sandbox.api.framework.operation import PREFIX, Answer, Operation, Parameter, documented
from sandbox.api.framework.validation import compiled, load, read
from sandbox.api.internal.schemas import Schema
from sandbox.domain.errors import AnswerMemoryExhausted, InvalidRequest, UnknownPath
from sandbox.domain.principals import Principal
from sandbox.http.replies import Reply, error_reply, reply_to
from sandbox.http.request import Request
from sandbox.http.responses import JSON, error_code
from sandbox.net.log_context import on_behalf_of
from sandbox.policy.budget import STEP, Share
from sandbox.policy.queries import Query, read_query, unknown_parameter

SESSION = "/sessions/{sessionId}"

APP = Klein()
# A second slash is part of a path that does not exist, not something to redirect.
APP.url_map.merge_slashes = False
#: What :func:`endpoint` decorated, in the order of the modules.
OPERATIONS: list[Operation] = []


@attrs.frozen
class Call:
    """A request as an endpoint sees it.

    :ivar principal: who calls.
    :ivar in_path: the path's parameters, checked.
    :ivar given: the other parameters by name, checked; ``None`` for one that is not given.
    :ivar body: the checked body; empty where the endpoint takes none.
    :ivar raw: the body's bytes.
    :ivar share: what the request holds of the memory for outputs and files, until its answer is written.
    """

    principal: Principal
    in_path: Mapping[str, str]
    given: Mapping[str, Any]
    body: Mapping[str, Any]
    raw: bytes
    share: Share

    @property
    def session_id(self) -> str:
        """The session's id in the path."""
        return self.in_path["sessionId"]


@attrs.frozen
class Page:
    """An answer that is no JSON.

    :ivar headers: fields beside Content-Type and Content-Length.
    """

    content: bytes
    media_type: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()
    status: int = 200


Endpoint = Callable[[Any, Call], Awaitable[Reply | Page]]
E = TypeVar("E", bound=Endpoint)


class _Checks:
    """An operation's schemas, compiled."""

    def __init__(self, operation: Operation) -> None:
        self._in_path = {name: compiled(schema) for name, schema in operation.in_path.items()}
        self._parameters = [(parameter, compiled(parameter.schema)) for parameter in operation.parameters]
        self._in_query = {one.name.encode("ascii") for one in operation.parameters if one.place == "query"}
        self._body = None if operation.body is None else compiled(operation.body)

    def call(self, request: Request, in_path: Mapping[str, str], share: Share) -> Call:
        """A request's call.

        :raises InvalidRequest: naming what is wrong.
        :raises AnswerMemoryExhausted: when there is no memory for a body of that size.
        """
        for name, validator in self._in_path.items():
            read(name, [in_path[name].encode("utf-8")], validator)
        given = self._given(request)
        raw = b"" if request.content is None else request.content.read()
        # What is made of it is as large as itself, which its buffer holds already.
        if len(raw) > STEP and not share.take(len(raw)):
            raise AnswerMemoryExhausted
        body = {} if self._body is None else load(raw, self._body)
        assert request.principal is not None
        return Call(request.principal, in_path, given, body, raw, share)

    def _given(self, request: Request) -> dict[str, Any]:
        query = read_query(request.uri)
        given = {}
        for parameter, validator in self._parameters:
            values = _values(request, query, parameter)
            # What is required and missing is as wrong as what is empty.
            values = values or ([b""] if parameter.required else [])
            given[parameter.name] = read(parameter.label, values, validator)
        unknown = unknown_parameter(query, self._in_query)
        if unknown is not None:
            raise InvalidRequest(f"Query parameter '{unknown}' is unknown")
        return given


def _values(request: Request, query: Query, parameter: Parameter) -> list[bytes]:
    name = parameter.name.encode("ascii")
    if parameter.place == "query":
        return [value for known, value in query if known == name]
    return list(request.requestHeaders.getRawHeaders(name, []))


def endpoint(
    method: str,
    path: str,
    *answers: Answer,
    tag: str,
    parameters: tuple[Parameter, ...] = (),
    body: Schema | None = None,
    errors: ErrorResponses = (),
) -> Callable[[E], E]:
    """Make a coroutine method ``(self, call) -> Reply`` the endpoint of a method and path under ``/api/internal``.

    What is given here is what requests are checked by, and with the method's name and docstring what the API's
    description says of it.
    """

    def decorate(function: E) -> E:
        name, text = documented(function)
        operation = Operation(
            name=name,
            text=text,
            tag=tag,
            method=method,
            path=PREFIX + path,
            parameters=parameters,
            body=body,
            answers=answers,
            own_errors=errors,
        )
        OPERATIONS.append(operation)
        checks = _Checks(operation)
        rule = re.sub(r"\{(\w+)\}", r"<string:\1>", operation.path)

        @APP.route(rule, methods=[method], endpoint=f"{method} {path}")
        def respond(self: Any, request: Request, **in_path: str) -> Deferred[None]:
            share = self.memory.share()

            async def act() -> Reply | Page:
                return await function(self, checks.call(request, in_path, share))

            request.route = operation.path
            request.session_id = in_path.get("sessionId", "")
            with on_behalf_of(request.id, request.session_id):
                work = Deferred.fromCoroutine(act())
            # Whoever hung up does not want the work done: a command is killed, a creation undone.
            request.notifyFinish().addErrback(lambda _: work.cancel())
            work.addErrback(_failed, request).addCallback(_answer, request)
            return work.addBoth(lambda _: share.close())

        return function

    return decorate


def _failed(failure: Failure, request: Request) -> Reply | None:
    if failure.check(CancelledError) and request.channel is None:
        return None  # The client hung up.
    with on_behalf_of(request.id, request.session_id):
        return reply_to(failure)


def _answer(reply: Reply | Page | None, request: Request) -> Deferred[None] | None:
    """Answer a request; fires when all of the answer is written, or the client has left."""
    if reply is None or request.channel is None:
        return None
    over: Deferred[None] = request.notifyFinish().addErrback(lambda _: None)
    if isinstance(reply, Page):
        request.respond(Reply(reply.status, None, reply.headers), reply.content, reply.media_type)
    else:
        request.respond(reply)
    return over


def refuse_route(request: Request, error: HTTPException) -> bytes:
    """Werkzeug's own refusals (no such path, wrong method) in the contract's error shape, not as HTML."""
    if error.code == 405:
        methods = ", ".join(sorted(getattr(error, "valid_methods", None) or ()))
        reply = error_reply(405, "METHOD_NOT_ALLOWED", "Method not allowed", ((b"allow", methods.encode("ascii")),))
    else:
        reply = reply_to(UnknownPath("No such endpoint"))
    request.setResponseCode(reply.status)
    request.error = error_code(reply)
    for name, value in (*reply.headers, (b"content-type", JSON)):
        request.setHeader(name, value)  # type: ignore[no-untyped-call]
    return reply.body()
