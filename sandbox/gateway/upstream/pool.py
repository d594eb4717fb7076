"""Connection pool to applications."""

from __future__ import annotations

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress, IConnector, IReactorTCP
from twisted.internet.protocol import ClientFactory
from twisted.python.failure import Failure

from sandbox.domain.errors import Overloaded, PreviewUnreachable
from sandbox.domain.model import Target
from sandbox.gateway.upstream.connection import Upstream
from sandbox.net.deadlines import NEVER, Deadlines
from sandbox.net.fairness import RunQueue
from sandbox.policy.pooling import Key, PoolLimits, PoolState
from sandbox.settings import Settings


@attrs.define
class PoolCounters:
    """Counters of the pool, published as metrics."""

    opened: int = 0
    reused: int = 0
    refused: int = 0
    failed: int = 0


class Pool:
    """Every connection to every application. :mod:`sandbox.policy.pooling` decides; this class does the I/O.

    :param connect_timeout: seconds until a connection attempt fails as unreachable.
    :param response_timeout: seconds from a request to the head of its response; 0 disables the timeout.
    """

    def __init__(
        self,
        reactor: IReactorTCP,
        deadlines: Deadlines,
        *,
        limits: PoolLimits | None = None,
        connect_timeout: float = 5.0,
        response_timeout: float = 120.0,
    ) -> None:
        self._reactor = reactor
        self._deadlines = deadlines
        self.run_queue = RunQueue.of(reactor)
        self._limits = limits or PoolLimits()
        self._connect_timeout = connect_timeout
        self._response_timeout = response_timeout
        self._state: PoolState[Upstream] = PoolState(self._limits)
        self._connecting: dict[Upstream, _Attempt] = {}
        self._open: set[Upstream] = set()
        self._closed: Deferred[None] | None = None
        self.counters = PoolCounters()

    @classmethod
    def of(cls, reactor: IReactorTCP, deadlines: Deadlines, settings: Settings) -> Pool:
        """A pool with the limits in the daemon's settings."""
        limits = PoolLimits(
            open=settings.preview_connections,
            idle=settings.preview_idle_connections,
            idle_seconds=settings.preview_idle_timeout,
        )
        return cls(
            reactor,
            deadlines,
            limits=limits,
            connect_timeout=settings.preview_connect_timeout,
            response_timeout=settings.preview_response_timeout,
        )

    def __len__(self) -> int:
        """Number of connections, including those that are being opened or closed."""
        return len(self._open) + len(self._connecting)

    @property
    def idle(self) -> int:
        """Number of idle connections."""
        return self._state.idle_count

    def take(self, session_id: str, target: Target, client: str | None = None) -> Upstream | None:
        """Take an idle connection to ``target``; ``None`` when there is none. The caller owns it.

        :param client: see :meth:`sandbox.policy.pooling.PoolState.take`.
        """
        upstream = self._state.take(session_id, _key(target), self._deadlines.seconds(), client)
        if upstream is not None:
            upstream.deadline = NEVER
            self.counters.reused += 1
        return upstream

    def connect(
        self, session_id: str, target: Target, client: str | None = None, *, counted: bool = True
    ) -> Deferred[Upstream]:
        """Open a connection to ``target``. The caller owns it; cancelling stops the attempt.

        :param client: see :meth:`sandbox.policy.pooling.PoolState.take`.
        :param counted: whether it counts against the session's connection limit.
        :raises Overloaded: when the session, or the client, has too many connections.
        :raises PreviewUnreachable: when the application does not accept it.
        """
        if self._closed is not None:
            return fail(PreviewUnreachable())
        possible, surplus = self._state.evict_for(session_id, client) if counted else (True, None)
        if surplus is not None:
            surplus.abort()
        if not possible:
            self.counters.refused += 1
            message = "Too many connections to this preview are open"
            return fail(Overloaded(message, code="TOO_MANY_PREVIEW_CONNECTIONS"))
        upstream = Upstream(self)
        self._state.add(upstream, session_id, _key(target), client, counted=counted)
        attempt = self._connecting[upstream] = _Attempt(self, upstream)
        attempt.connector = self._reactor.connectTCP(target.address, target.port, attempt, self._connect_timeout)
        return attempt.connected

    def release(self, upstream: Upstream) -> None:
        """Return a connection that can carry another request."""
        now = self._deadlines.seconds()
        upstream.deadline = now + self._limits.idle_seconds
        surplus = self._state.release(upstream, now)
        if surplus is not None:
            surplus.abort()

    def drop_session(self, session_id: str) -> None:
        """Close a session's connections at once, aborting requests in progress."""
        self._drop(self._state.of_session(session_id))

    def close(self) -> Deferred[None]:
        """Close every connection and refuse new ones. Fires when the last connection is closed."""
        if self._closed is None:
            self._closed = Deferred()
            self._drop(self._state.all())
            self._check_closed()
        return self._closed

    # Calls from connections.

    def response_deadline(self) -> float:
        """Deadline for the response to a request that is sent now."""
        return self._deadlines.seconds() + self._response_timeout if self._response_timeout else NEVER

    def connected(self, upstream: Upstream) -> None:
        """A connection was established."""
        self.counters.opened += 1
        self._open.add(upstream)
        self._deadlines.add(upstream)
        self._connecting.pop(upstream).connected.callback(upstream)

    def failed(self, upstream: Upstream, reason: Failure) -> None:
        """A connection attempt failed."""
        self.counters.failed += 1
        self._state.remove(upstream)
        error = PreviewUnreachable()
        error.__cause__ = reason.value
        self._connecting.pop(upstream).connected.errback(error)
        self._check_closed()

    def forget(self, upstream: Upstream) -> None:
        """A connection is being closed; it is no longer handed out."""
        self._state.remove(upstream)

    def lost(self, upstream: Upstream) -> None:
        """A connection is closed."""
        self._state.remove(upstream)
        self._open.discard(upstream)
        self._deadlines.discard(upstream)
        self._check_closed()

    def _drop(self, upstreams: list[Upstream]) -> None:
        for upstream in upstreams:
            attempt = self._connecting.get(upstream)
            if attempt is None:
                upstream.abort()
            else:
                attempt.stop()

    def _check_closed(self) -> None:
        if self._closed is not None and not len(self) and not self._closed.called:
            self._closed.callback(None)


def _key(target: Target) -> Key:
    return target.container_id, target.started_at, target.port


class _Attempt(ClientFactory):
    """One connection attempt.

    :ivar connected: fires with the connection; cancelling it stops the attempt.
    """

    noisy = False
    connector: IConnector

    def __init__(self, pool: Pool, upstream: Upstream) -> None:
        self._pool = pool
        self._upstream = upstream
        self.connected: Deferred[Upstream] = Deferred(lambda _: self.stop())

    def stop(self) -> None:
        """Cancel the attempt."""
        self.connector.disconnect()

    def buildProtocol(self, addr: IAddress | None) -> Upstream:
        return self._upstream

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        self._pool.failed(self._upstream, reason)
