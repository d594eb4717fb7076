"""The engine's event stream, ``GET /events``, read by the reactor: an idle stream occupies no thread."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from time import monotonic
from typing import Any
from urllib.parse import urlencode

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IProtocol, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from twisted.web.client import URI, Agent
from twisted.web.iweb import IAgentEndpointFactory, IResponse
from zope.interface import implementer

from sandbox.domain.errors import EngineUnavailable
from sandbox.net.instruments import CallStats

#: Bytes of one message; labels are part of it, and an engine takes labels of any length.
MESSAGE_LIMIT = 1 << 20

# Without a version: the fields used are the same in all, and an engine may have dropped the older ones.
_BASE = b"http://engine"


class StreamGarbled(Exception):
    """A message was too long or not JSON: an event is lost, so the containers must be listed anew."""


@implementer(IAgentEndpointFactory)
class EngineEndpoints:
    """Connects every request to one engine.

    :param url: ``unix:///PATH`` or ``tcp://HOST:PORT``.
    """

    def __init__(self, reactor: Any, url: str) -> None:
        self._reactor = reactor
        self._url = url

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The engine's endpoint, whatever the URI names."""
        scheme, _, place = self._url.partition("://")
        if scheme == "unix":
            return _Quiet(UNIXClientEndpoint(self._reactor, place))
        host, _, port = place.rstrip("/").rpartition(":")
        return _Quiet(HostnameEndpoint(self._reactor, host.strip("[]").encode("idna"), int(port)))


@implementer(IStreamClientEndpoint)
@attrs.frozen
class _Quiet:
    """Endpoint decorator without a log line per connection: pings would fill the log."""

    endpoint: IStreamClientEndpoint

    def connect(self, factory: Any) -> Deferred[IProtocol]:
        factory.noisy = False
        connected: Deferred[IProtocol] = self.endpoint.connect(factory)
        return connected


class EngineEvents:
    """Pings one engine and opens its event stream.

    :param timeout: seconds to wait for a ping's answer, and for the head of the event stream.
    :param pings: call statistics of the pings.
    """

    def __init__(self, reactor: IReactorTime, url: str, *, timeout: float, pings: CallStats | None = None) -> None:
        self._pings = pings or CallStats()
        self._clock = reactor
        self._timeout = timeout
        self._agent = Agent.usingEndpointFactory(reactor, EngineEndpoints(reactor, url))

    def ping(self) -> Deferred[float]:
        """Ping the engine.

        :returns: the engine's clock, in seconds since the epoch, rounded down.
        :raises EngineUnavailable: when the engine does not answer 200 in time.
        """

        async def ask() -> float:
            response = await self._agent.request(b"GET", _BASE + b"/_ping")
            response.deliverBody(_Ignored())
            if response.code != 200:
                raise EngineUnavailable(f"The Docker engine answers {response.code}")
            return _moment(response.headers.getRawHeaders(b"date"))

        begun = monotonic()

        def count(result: Any) -> Any:
            self._pings.durations.add(monotonic() - begun)
            if isinstance(result, Failure) and not result.check(CancelledError):
                self._pings.errors["unavailable"] += 1
            return result

        return self._bounded(Deferred.fromCoroutine(ask())).addBoth(count)

    def stream(
        self, filters: Mapping[str, Any], since: str, receive: Callable[[dict[str, Any]], None]
    ) -> Deferred[Reading]:
        """Open the stream; fires when the response's head has arrived.

        :param since: seconds since the epoch by the engine's clock, with a fraction.
        """
        query = urlencode({"filters": json.dumps(filters), "since": since}).encode()

        def begin(response: IResponse) -> Reading:
            reading = Reading(receive)
            response.deliverBody(reading)
            if response.code != 200:
                reading.stop()
                raise EngineUnavailable(f"The Docker engine refuses its events ({response.code})")
            return reading

        return self._bounded(self._agent.request(b"GET", _BASE + b"/events?" + query).addCallback(begin))

    def _bounded(self, work: Deferred[Any]) -> Deferred[Any]:
        def unavailable(failure: Failure) -> Failure:
            if failure.check(EngineUnavailable, CancelledError):
                return failure
            return Failure(EngineUnavailable(f"The Docker engine does not answer ({type(failure.value).__name__})"))

        return work.addTimeout(self._timeout, self._clock).addErrback(unavailable)


def _moment(dates: Sequence[bytes] | None) -> float:
    try:
        return parsedate_to_datetime((dates or [b""])[0].decode("latin-1")).timestamp()
    except (ValueError, TypeError):
        # A proxy removed the Date header: ask for all events that the engine still keeps (the newest few).
        return 1.0


class _Ignored(Protocol):
    """Discards a response body."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Ignore the end of the body."""


class Reading(Protocol):
    """One open event stream.

    :ivar ended: fires with ``None`` when the engine closed it or :meth:`stop` was called, and fails with
        :class:`StreamGarbled` when a message was lost.
    :ivar closed: fires when its connection is gone.
    """

    transport: Any

    def __init__(self, receive: Callable[[dict[str, Any]], None]) -> None:
        self.ended: Deferred[None] = Deferred()
        self.closed: Deferred[None] = Deferred()
        self._receive = receive
        self._rest = b""
        self._garbled: str | None = None

    def dataReceived(self, data: bytes) -> None:
        """Decode each complete line and deliver it to the receiver."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        try:
            for line in lines:
                if line.strip() and self._garbled is None:
                    self._receive(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            self._end(f"not a message of an engine's: {error!r}")
        if len(self._rest) > MESSAGE_LIMIT:
            self._end(f"a message of more than {MESSAGE_LIMIT} bytes")

    def _end(self, why: str) -> None:
        self._garbled = why
        self._rest = b""
        self.stop()

    def stop(self) -> None:
        """Close it."""
        if self.transport is not None:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:
        """Fire :attr:`ended` and :attr:`closed`."""
        if self._garbled is not None:
            self.ended.errback(StreamGarbled(self._garbled))
        else:
            self.ended.callback(None)
        self.closed.callback(None)
