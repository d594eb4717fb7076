"""The factory of server connections: one resource tree, its door, its limits."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger
from twisted.web.resource import IResource
from twisted.web.server import Site as TwistedSite

from sandbox.http.admission import Admission, Admit, Buffer
from sandbox.http.channel import Channel
from sandbox.http.connection_limiter import ConnectionLimiter
from sandbox.http.identity import RequestIds
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.http.responses import error_code
from sandbox.http.streaming import one_piece_a_turn
from sandbox.http.traffic import Traffic
from sandbox.net.deadlines import Deadlines
from sandbox.net.fairness import RunQueue
from sandbox.protocols.http1.headers import TrustedProxies
from sandbox.settings import Settings

_log = Logger()


@attrs.frozen(kw_only=True)
class Limits:
    """What a client may send, in bytes, and how long it may take, in seconds.

    :ivar line: the request line; 414 beyond.
    :ivar head: the whole head; 431 beyond.
    :ivar fields: header fields, in number; 431 beyond.
    :ivar body: a body that is read before its resource is rendered; 413 beyond.
    :ivar head_timeout: from a head's first byte to its last; 408 beyond.
    :ivar idle_timeout: a connection without a request, or a reader that takes nothing.
    :ivar upload_timeout: a body of which nothing comes; 408 beyond.
    :ivar linger: how long at most to read on after an answer that did not wait for the body.
    :ivar linger_pause: the same, without a byte coming.
    :ivar greeting: how long a new connection without a request is kept when the site drains.
    """

    line: int = 16 * 1024
    head: int = 64 * 1024
    fields: int = 200
    body: int = 10 * 1024 * 1024
    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    upload_timeout: float = 60.0
    linger: float = 30.0
    linger_pause: float = 5.0
    greeting: float = 1.0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """What the daemon was told."""
        return cls(
            line=settings.http_line_limit,
            head=settings.http_head_limit,
            fields=settings.http_field_limit,
            body=settings.body_limit,
            head_timeout=settings.http_head_timeout,
            idle_timeout=settings.http_idle_timeout,
            upload_timeout=settings.http_upload_timeout,
        )


@attrs.define
class Counters:
    """What the site has seen, for whoever publishes it.

    :ivar connections: that are open, upgraded ones included.
    :ivar accepted: connections that were ever opened.
    """

    connections: int = 0
    accepted: int = 0
    requests: int = 0


class Site(TwistedSite):
    """A ``twisted.web`` site whose connections are :class:`sandbox.http.channel.Channel`.

    :param resource: the root of the resource tree.
    :param admit: says of each request, by its head, how it is to be treated; a site without one buffers every body.
    :param ids: names the requests.
    :param traffic: where they are counted; sites of one daemon may share it.
    :param limiter: bounds the connections; a site without one takes all that come.
    :param observe: called with each request that is over and the time (:func:`time.monotonic`), for an access log. Its
        connection is still there.
    :ivar stopping: set it when the daemon ends: responses then close their connections.
    """

    requestFactory: Callable[..., Any] = Request  # type: ignore[assignment]
    noisy = False

    def __init__(
        self,
        resource: IResource,
        reactor: IReactorTime,
        *,
        admit: Admit | None = None,
        limits: Limits | None = None,
        ids: RequestIds | None = None,
        traffic: Traffic | None = None,
        limiter: ConnectionLimiter | None = None,
        observe: Callable[[Request, float], None] | None = None,
    ) -> None:
        super().__init__(resource, reactor=reactor)  # type: ignore[no-untyped-call]
        self.limits = limits or Limits()
        self.admit = admit or self._buffer
        self.deadlines = Deadlines(reactor)
        self.run_queue = RunQueue.of(reactor)
        self.counters = Counters()
        self.ids = ids or RequestIds(TrustedProxies())
        self.traffic = traffic or Traffic()
        self.cooperator = one_piece_a_turn(reactor)
        self.limiter = limiter
        self.stopping = False
        self._observe = observe
        self._channels: set[Channel] = set()
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Channel | None:  # type: ignore[override]
        """A channel for a connection from ``addr``; ``None`` when there is no room for it."""
        if self.limiter is not None and not self.limiter.admit(getattr(addr, "host", None)):
            return None
        return Channel(self)

    def getResourceFor(self, request: Any) -> Any:
        """The resource that renders a request. Where the root is a leaf, no path is taken apart to find it."""
        return self.resource if self.resource.isLeaf else super().getResourceFor(request)  # type: ignore[no-untyped-call]

    def channel_opened(self, channel: Channel) -> None:
        """A connection is there."""
        self.counters.connections += 1
        self.counters.accepted += 1
        self._channels.add(channel)
        if self.limiter is not None:
            self.limiter.opened(channel)
        self.deadlines.add(channel)

    def channel_closed(self, channel: Channel) -> None:
        """A connection is gone."""
        self.counters.connections -= 1
        self._channels.discard(channel)
        if self.limiter is not None:
            self.limiter.lost(channel)
        self.deadlines.discard(channel)
        if self._drained is not None and not self._channels and not self._drained.called:
            self._drained.callback(None)

    @property
    def in_progress(self) -> int:
        """Requests that are not over."""
        return sum(channel.busy for channel in self._channels)

    def drain(self, seconds: float) -> Deferred[None]:
        """End idle connections now, others after their response; fires when none is left, or it took too long.

        :param seconds: how long to wait; what is left then is the caller's to end by :meth:`abort`.
        """
        self.stopping = True
        for channel in list(self._channels):
            channel.close_when_idle()
        if not self._channels:
            return succeed(None)
        if self._drained is None or self._drained.called:
            self._drained = Deferred()
            self._drained.addTimeout(seconds, self.reactor, lambda result, timeout: None)
        return self._drained

    def abort(self) -> None:
        """End every connection at once."""
        for channel in list(self._channels):
            channel.abortConnection()

    def log(self, request: Any) -> None:
        """A request is over: its response is complete, its connection lost, or not a site's any more."""
        self.counters.requests += 1
        now = monotonic()
        self.traffic.add(request, now - request.begun)
        if self._observe is not None:
            self._observe(request, now)

    def refused(self, channel: Channel, reply: Reply) -> bytes:
        """What came over a connection is no request; gives the name by which the answer is found in the log."""
        request_id = self.ids.new()
        self.traffic.refused[reply.status] += 1
        self.traffic.errors[error_code(reply)] += 1
        # Anybody can send such things, as many as they like: the count tells that it happens.
        _log.debug(
            "refused what {peer} sent: {status} {error}",
            peer=channel.peer,
            status=reply.status,
            error=error_code(reply),
            request_id=request_id.decode("ascii"),
        )
        return request_id

    def startFactory(self) -> None:
        """Nothing: the access log that the base class would open is :attr:`observe`'s business."""

    def stopFactory(self) -> None:
        """Nothing: no log file to close."""

    def _buffer(self, request: Request) -> Admission:
        return Buffer(self.limits.body)
