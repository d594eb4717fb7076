"""Client for Twisted, and for asyncio through ``Deferred.asFuture``, on treq."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import treq
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError, DNSLookupError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater  # noqa: TID251 - outside of the daemon, whose timers it does not know
from twisted.python.failure import Failure
from twisted.web._newclient import ParseError  # no public name exists
from twisted.web.client import Agent, RequestTransmissionFailed, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory, IResponse
from zope.interface import implementer

from sandbox.client import calls
from sandbox.client.errors import (
    AnswerTimeout,
    AnswerTooLarge,
    BadAnswer,
    ClientError,
    ConfigurationError,
    ConnectionLost,
    Unreachable,
)
from sandbox.client.origin import Origin, checked_key, parse_origin
from sandbox.client.protocol import ANSWER_LIMIT, TIMEOUT, Answer, Call
from sandbox.client.retrying import Attempts, Retries
from sandbox.client.signatures import signed
from sandbox.domain.model import Session, SessionStatus

P = ParamSpec("P")
T = TypeVar("T")


def _carried(build: Callable[P, Call[T]]) -> Callable[Concatenate[AsyncClient, P], Deferred[T]]:
    @functools.wraps(build)
    def method(self: AsyncClient, /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return self.send(build(*args, **kwargs))

    return signed(method, build, "AsyncClient", Deferred)


class AsyncClient:
    """Client of a daemon whose calls return a ``Deferred``; cancelling it closes the connection.

    Under asyncio, install Twisted's asyncio reactor and await ``client.exec(…).asFuture(loop)``.

    :param reactor: the running reactor.
    :param url: ``http://HOST:PORT``, ``https://HOST`` or ``unix:/PATH`` of the internal API.
    :param key: the service key.
    :param public_url: URL of the public listener, which serves previews; default: the same as ``url``.
    :param timeout: timeout in seconds of a complete response, in addition to a command's own timeout.
    :param retries: retry policy.
    :param answer_limit: maximum bytes of a response.
    :param agent: the HTTP agent; default: one connection per request, so that there is nothing to close. An agent with
        an ``HTTPConnectionPool`` reuses connections, and itself retries requests that it considers idempotent.
    :raises ConfigurationError: for an invalid URL or key, or a reactor that cannot run the calls: none, or one that
        does not run on the asyncio event loop of this thread.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        key: str,
        *,
        public_url: str | None = None,
        timeout: float = TIMEOUT,
        retries: Retries | None = None,
        answer_limit: int = ANSWER_LIMIT,
        agent: IAgent | None = None,
    ) -> None:
        _check_reactor(reactor)
        self._reactor = reactor
        self._origin = parse_origin(url)
        self._public = parse_origin(public_url) if public_url is not None else self._origin
        self._key = checked_key(key)
        self._timeout = timeout
        self._retries = Retries() if retries is None else retries
        self._answer_limit = answer_limit
        self._agent = agent

    def send(self, call: Call[T]) -> Deferred[T]:
        """Send a call of :mod:`sandbox.client.calls`; fires with its result.

        :raises ConfigurationError: synchronously, when the reactor does not run on this thread's asyncio event loop.
        :raises ClientError: see the classes of :mod:`sandbox.client.errors`.
        """
        _check_reactor(self._reactor)
        return Deferred.fromCoroutine(self._send(call))

    async def _send(self, call: Call[T]) -> T:
        attempts = Attempts(call, self._retries)
        while True:
            try:
                timeout = self._timeout + call.work
                exchange = Deferred.fromCoroutine(self._exchange(call, repeated=attempts.lost is not None))
                return call.result(await exchange.addTimeout(timeout, self._reactor))
            except DeferredTimeout as error:
                raise AnswerTimeout(f"{self._place(call)} did not answer within {timeout:g} s") from error
            except ClientError as error:
                pause = attempts.pause_after(error)
            await deferLater(self._reactor, pause)

    async def _exchange(self, call: Call[Any], *, repeated: bool) -> Answer:
        origin = self._place(call)
        headers = Headers()
        for name, value in call.fields(self._key, repeated=repeated):
            headers.addRawHeader(name, value)
        try:
            response = await treq.request(
                call.method,
                origin.url(call.target),
                data=call.body(),
                headers=headers,
                agent=self._agent or _agent(self._reactor, origin),
                reactor=self._reactor,
                allow_redirects=False,
                unbuffered=True,
            )
            body = await _read(response, self._answer_limit)
        except (ConnectError, DNSLookupError) as error:
            raise Unreachable(f"Cannot connect to {origin}: {error}") from error
        except (ResponseFailed, RequestTransmissionFailed) as error:
            if any(reason.check(CancelledError) for reason in error.reasons):
                raise CancelledError from error
            if any(reason.check(ParseError) for reason in error.reasons):
                raise BadAnswer(f"{origin} does not speak HTTP") from error
            raise ConnectionLost(f"{origin} closed the connection: {_innermost(error)}") from error
        fields = {name.decode("latin-1").lower(): values for name, values in response.headers.getAllRawHeaders()}
        return Answer(response.code, {name: values[-1].decode("latin-1") for name, values in fields.items()}, body)

    def _place(self, call: Call[Any]) -> Origin:
        return self._public if call.public else self._origin

    create_session = _carried(calls.create_session)
    list_sessions = _carried(calls.list_sessions)
    get_session = _carried(calls.get_session)
    start_session = _carried(calls.start_session)
    stop_session = _carried(calls.stop_session)
    delete_session = _carried(calls.delete_session)
    exec = _carried(calls.exec)
    read_file = _carried(calls.read_file)
    write_file = _carried(calls.write_file)
    list_directory = _carried(calls.list_directory)
    stat = _carried(calls.stat)
    register_preview = _carried(calls.register_preview)
    create_link = _carried(calls.create_link)
    revoke_link = _carried(calls.revoke_link)
    preview_health = _carried(calls.preview_health)
    api_description = _carried(calls.api_description)
    api_page = _carried(calls.api_page)

    async def iterate_sessions(
        self, *, user_id: str | None = None, status: SessionStatus | str | None = None
    ) -> AsyncIterator[Session]:
        """Iterate over all sessions, newest first, fetching page by page; for coroutines run by Twisted."""
        cursor = None
        while True:
            page = await self.list_sessions(user_id=user_id, status=status, limit=200, cursor=cursor)
            for session in page.sessions:
                yield session
            cursor = page.next_cursor
            if cursor is None:
                return


class _Body(Protocol):
    """Collects a response's body.

    :param limit: maximum bytes.
    :ivar complete: fires with the body; cancelling closes the connection.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content = bytearray()
        self.complete: Deferred[bytes] = Deferred(self._close)

    def _close(self, _: Deferred[bytes]) -> None:
        if self.transport is not None:
            self.transport.loseConnection()

    def dataReceived(self, data: bytes) -> None:
        """Append a piece."""
        self._content += data
        if len(self._content) > self._limit and not self.complete.called:
            self.complete.errback(AnswerTooLarge(f"The answer has more than {self._limit} bytes"))
            self._close(self.complete)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Complete or fail the body."""
        if self.complete.called:
            return
        # Neither Content-Length nor chunked: the connection's end delimits the body; truncated JSON fails to parse.
        if reason.check(ResponseDone, PotentialDataLoss):
            self.complete.callback(bytes(self._content))
        else:
            self.complete.errback(reason)


def _read(response: IResponse, limit: int) -> Deferred[bytes]:
    body = _Body(limit)
    response.deliverBody(body)
    return body.complete


@implementer(IAgentEndpointFactory)
class _SocketEndpoints:
    def __init__(self, reactor: Any, path: str) -> None:
        self._reactor = reactor
        self._path = path

    def endpointForURI(self, uri: Any) -> UNIXClientEndpoint:
        return UNIXClientEndpoint(self._reactor, self._path)


def _check_reactor(reactor: Any) -> None:
    """Reject a reactor under which a call would never complete."""
    if not IReactorTime.providedBy(reactor):
        raise ConfigurationError(
            f"AsyncClient needs Twisted's running reactor, not {reactor!r}: pass the one that react() gives, or import "
            "reactor from twisted.internet; without a reactor use Client"
        )
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    # Twisted has no public attribute for the loop of its asyncio reactor; other reactors have no loop.
    if getattr(reactor, "_asyncioEventloop", None) is not loop:
        raise ConfigurationError(
            "an asyncio event loop runs in this thread, and Twisted's reactor does not run on it: the call would never "
            "end. Call twisted.internet.asyncioreactor.install(loop) before the reactor is imported, run that loop by "
            "the reactor (docs/sdk.md, In asyncio) and await client.….asFuture(loop); or use Client by "
            "asyncio.to_thread"
        )


def _agent(reactor: Any, origin: Origin) -> IAgent:
    if origin.socket:
        over_socket: IAgent = Agent.usingEndpointFactory(reactor, _SocketEndpoints(reactor, origin.socket))
        return over_socket
    return Agent(reactor)


def _innermost(error: Any) -> str:
    return ", ".join(reason.getErrorMessage() for reason in error.reasons)
