"""An API as an object: a prefix with its own authentication, errors and operations; a site may serve several."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote_to_bytes

import attrs
from klein import Klein
from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure
from twisted.web.resource import IResource
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from sandbox.api.framework.calls import Call, Checks, Page, Result, Streaming
from sandbox.api.framework.endpoint import marked
from sandbox.api.framework.messages import Message
from sandbox.api.framework.operation import Buffered, Operation
from sandbox.api.framework.schemas import Schema
from sandbox.domain.errors import BodyTooLarge, InvalidRequest, UnknownPath
from sandbox.http.admission import STREAM, Admission, Buffer, Refuse
from sandbox.http.authentication import Authentication
from sandbox.http.replies import ErrorEncoder, Reply
from sandbox.http.request import Request
from sandbox.http.streaming import close_pieces
from sandbox.net.log_context import on_behalf_of
from sandbox.policy.budget import Budget
from sandbox.protocols.http1.grammar import Malformed


def operations_of(prefix: str, *endpoints: type) -> list[Operation]:
    """The operations of endpoint classes, with the paths of an API on this prefix."""
    return [attrs.evolve(one, path=prefix + one.path) for kind in endpoints for one, _ in marked(kind)]


class Api:
    """Routes requests to endpoints.

    :param prefix: the prefix of its paths, such as ``/api/internal``.
    :param authentication: checks every request before its route.
    :param errors: encodes all errors of its requests.
    :param endpoints: objects whose methods :func:`sandbox.api.framework.endpoint.endpoint` decorated.
    :param in_path: the schemas of path parameters, by name.
    :param session: the name of the path parameter that is a session's id, for the log.
    :param body_limit: maximum bytes of a buffered body, unless the operation sets its own.
    :param memory: memory budget for bodies, outputs and files.
    :ivar resource: renders the admitted requests.
    """

    def __init__(
        self,
        prefix: str,
        authentication: Authentication,
        errors: ErrorEncoder,
        endpoints: Iterable[object],
        *,
        in_path: Mapping[str, Schema],
        session: str = "",
        body_limit: int,
        memory: Budget,
    ) -> None:
        self.prefix = prefix
        self._authentication = authentication
        self._errors = errors
        self._in_path = in_path
        self._session = session
        self._body_limit = body_limit
        self._memory = memory
        self._operations: dict[str, Operation] = {}
        self._app = Klein()
        # A second slash is part of a path that does not exist, not something to redirect.
        self._app.url_map.merge_slashes = False
        for one in endpoints:
            for operation, function in marked(type(one)):
                self._add(attrs.evolve(operation, path=prefix + operation.path), partial(function, one))
        self.resource: IResource = self._app.resource()

    def _add(self, operation: Operation, function: Callable[[Call], Awaitable[Result]]) -> None:
        name = f"{operation.method} {operation.path}"
        checks = Checks(operation, operation.in_path(self._in_path))
        self._operations[name] = operation

        def respond(request: Request, **in_path: str) -> Deferred[None]:
            return self._respond(operation, function, checks, request, in_path)

        rule = re.sub(r"\{(\w+)\}", r"<string:\1>", operation.path)
        self._app.route(rule, methods=[operation.method], endpoint=name)(respond)

    def admit(self, request: Request) -> Admission:
        """Decide how to read a request's body, by its operation; an :data:`sandbox.http.admission.Admit`.

        :raises SandboxError: to refuse the request; encoded by the API's own encoder.
        """
        request.errors = self._errors
        request.principal = self._authentication.authenticate(request)
        try:
            path = unquote_to_bytes(request.path).decode("utf-8")
        except UnicodeDecodeError:
            raise InvalidRequest("The path must be percent-encoded UTF-8") from None
        try:
            name, in_path = self._app.url_map.bind("").match(path, request.method.decode("ascii"))
        except HTTPException as error:
            # The length is refused before the path is (contract section 1).
            _check_length(request, self._body_limit)
            if not isinstance(error, MethodNotAllowed):
                raise UnknownPath("No such endpoint") from None
            allow = ", ".join(sorted(error.valid_methods or ())).encode("ascii")
            return Refuse(self._errors.refuse(405, "METHOD_NOT_ALLOWED", "Method not allowed", ((b"allow", allow),)))
        operation = self._operations[name]
        request.route = operation.path
        request.session_id = in_path.get(self._session, "")
        body = operation.body
        if isinstance(body, Buffered):
            return Buffer(body.limit or self._body_limit, self._memory)
        if body is None:
            # An unused body is read too, so that the connection can carry the next request.
            return Buffer(self._body_limit, self._memory)
        if body.limit is not None:
            _check_length(request, body.limit)
        return STREAM

    def _respond(
        self,
        operation: Operation,
        function: Callable[[Call], Awaitable[Result]],
        checks: Checks,
        request: Request,
        in_path: Mapping[str, str],
    ) -> Deferred[None]:
        share = self._memory.share()

        async def act() -> Reply | Page | Streaming:
            return _complete(operation, await function(checks.call(request, in_path, share)))

        with on_behalf_of(request.id, request.session_id):
            work = Deferred.fromCoroutine(act())
        # Client disconnected: cancel the operation. A command is killed, a creation undone.
        request.notifyFinish().addErrback(lambda _: work.cancel())
        work.addErrback(self._failed, request).addCallback(_answer, request)
        return work.addBoth(lambda _: share.close())

    def _failed(self, failure: Failure, request: Request) -> Reply | None:
        if failure.check(CancelledError) and request.gone:
            return None
        error = failure.value
        if isinstance(error, Malformed):
            return self._errors.refuse(error.status, error.code, error.reason)
        with on_behalf_of(request.id, request.session_id):
            return self._errors.encode(failure)


def _check_length(request: Request, limit: int) -> None:
    """Refuse a body that is too large by its Content-Length.

    :raises BodyTooLarge: when it exceeds ``limit`` bytes.
    """
    if request.framing.length > limit:
        raise BodyTooLarge(limit)


def _complete(operation: Operation, result: Result) -> Reply | Page | Streaming:
    if result is None or isinstance(result, Message):
        return Reply(operation.answers[0].status, None if result is None else result.encode())
    return result


def _answer(reply: Reply | Page | Streaming | None, request: Request) -> Deferred[None] | None:
    """Respond to a request; fires when the response is written or the client has disconnected."""
    if reply is None or request.gone:
        if isinstance(reply, Streaming):
            close_pieces(reply.pieces)
        return None
    over: Deferred[Any] = request.notifyFinish().addErrback(lambda _: None)
    if isinstance(reply, Page):
        request.respond(Reply(reply.status, None, reply.headers), reply.content, reply.media_type)
    elif isinstance(reply, Streaming):
        with on_behalf_of(request.id, request.session_id):
            request.respond_piecewise(Reply(reply.status, None, reply.headers), reply.pieces, reply.media_type)
    else:
        request.respond(reply)
    return over
