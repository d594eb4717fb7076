"""Factory of server connections, with a resource tree, admission and limits."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

import attrs
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.web.resource import IResource
from twisted.web.server import Site as TwistedSite

from sandbox.http.admission import Admission, Admit, Buffer
from sandbox.http.connection import Connection
from sandbox.http.connection_limiter import ConnectionLimiter
from sandbox.http.identity import RequestIds
from sandbox.http.limits import Limits
from sandbox.http.refusals import Refusals
from sandbox.http.request import Request
from sandbox.http.traffic import Traffic
from sandbox.net.deadlines import Deadlines
from sandbox.net.fairness import RunQueue, one_at_a_time
from sandbox.protocols.http1.headers import TrustedProxies


@attrs.define
class Counters:
    """Connection counters of a site, for the metrics.

    :ivar connections: open connections, upgraded ones included.
    :ivar accepted: total of connections opened.
    """

    connections: int = 0
    accepted: int = 0


class Site(TwistedSite):
    """A ``twisted.web`` site whose connections are :class:`sandbox.http.connection.Connection`.

    :param resource: the root of the resource tree.
    :param admit: decides by its head how each request is handled; the default buffers every body.
    :param ids: assigns request ids.
    :param traffic: counts requests; sites of one daemon may share it.
    :param limiter: limits the connections; the default accepts all.
    :param observe: called with each finished request and the time (:func:`time.monotonic`), for an access log, while
        its connection still exists.
    :ivar stopping: set at shutdown: responses then close their connections.
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
        self.cooperator = one_at_a_time(self.run_queue)
        self.counters = Counters()
        self.ids = ids or RequestIds(TrustedProxies())
        self.traffic = traffic or Traffic()
        self.refusals = Refusals(reactor, self.ids.new, self.traffic)
        self.limiter = limiter
        self.stopping = False
        self._observe = observe
        self._connections: set[Connection] = set()
        self._drained: Deferred[None] | None = None

    def buildProtocol(self, addr: IAddress | None) -> Connection | None:  # type: ignore[override]
        """Create the protocol of a connection from ``addr``; ``None`` when the limit is reached."""
        if self.limiter is not None and not self.limiter.admit(getattr(addr, "host", None)):
            return None
        return Connection(self)

    def getResourceFor(self, request: Any) -> Any:
        """Return the resource that renders a request. A leaf root is returned without splitting the path."""
        return self.resource if self.resource.isLeaf else super().getResourceFor(request)  # type: ignore[no-untyped-call]

    def connection_opened(self, connection: Connection) -> None:
        """Register an opened connection."""
        self.counters.connections += 1
        self.counters.accepted += 1
        self._connections.add(connection)
        if self.limiter is not None:
            self.limiter.opened(connection)
        self.deadlines.add(connection.timer)

    def connection_lost(self, connection: Connection) -> None:
        """Remove a lost connection."""
        self.counters.connections -= 1
        self._connections.discard(connection)
        if self.limiter is not None:
            self.limiter.lost(connection)
        self.deadlines.discard(connection.timer)
        if self._drained is not None and not self._connections and not self._drained.called:
            self._drained.callback(None)

    @property
    def in_progress(self) -> int:
        """Number of requests in progress."""
        return sum(connection.busy for connection in self._connections)

    def drain(self, seconds: float) -> Deferred[None]:
        """Close idle connections now, others after their response; fires when all are closed, or on timeout.

        :param seconds: timeout; the caller closes the remaining connections with :meth:`abort`.
        """
        self.stopping = True
        for connection in list(self._connections):
            connection.close_when_idle()
        if not self._connections:
            return succeed(None)
        if self._drained is None or self._drained.called:
            self._drained = Deferred()
            self._drained.addTimeout(seconds, self.reactor, lambda result, timeout: None)
        return self._drained

    def abort(self) -> None:
        """Abort every connection."""
        for connection in list(self._connections):
            connection.abortConnection()

    def log(self, request: Any) -> None:
        """Count and log a request that is over: response complete, connection lost, or connection upgraded."""
        now = monotonic()
        self.traffic.add(request, now - request.begun)
        if self._observe is not None:
            self._observe(request, now)

    def startFactory(self) -> None:
        """Do not open the base class's log file; :attr:`observe` handles the access log."""

    def stopFactory(self) -> None:
        """No log file to close."""

    def _buffer(self, request: Request) -> Admission:
        return Buffer(self.limits.body)
