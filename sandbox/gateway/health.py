"""Health checks of applications (contract section 7)."""

from __future__ import annotations

import errno

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.error import ConnectError, UserError
from twisted.internet.interfaces import IReactorTime

from sandbox.domain.errors import PreviewMisbehaved, SandboxError
from sandbox.domain.model import Target
from sandbox.gateway.upstream.connection import Upstream
from sandbox.gateway.upstream.pool import Pool
from sandbox.net.read_through_cache import CacheMiss, ReadThroughCache
from sandbox.protocols.http1.framing import Framing
from sandbox.protocols.http1.grammar import Fields, ResponseHead

_REQUEST = b"GET / HTTP/1.1\r\nHost: %b\r\nAccept: */*\r\nConnection: close\r\nVia: 1.1 sandbox\r\n\r\n"
#: Maximum number of cached results.
_KEPT = 10_000
#: Result when nothing listens on the application's port.
REFUSED = "Connection refused"
_WORDS = {
    errno.ECONNREFUSED: REFUSED,
    errno.EHOSTUNREACH: "No route to host",
    errno.ENETUNREACH: "Network unreachable",
}


class Probe:
    """One ``GET /`` to an application, of which only the response's head is read.

    :param host: the request's Host.
    :ivar answered: fires with the response's status.
    """

    method = b"GET"
    upgrading = False
    sent_all = True

    def __init__(self, upstream: Upstream, host: bytes) -> None:
        self._upstream = upstream
        self.answered: Deferred[int] = Deferred(lambda _: upstream.abandon())
        upstream.begin(self, _REQUEST % host)

    def interim(self, head: ResponseHead) -> None:
        """Ignore interim responses."""

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        """Unreachable: the probe offers no upgrade."""

    def responded(self, head: ResponseHead, framing: Framing) -> None:
        self._upstream.abandon()
        self.answered.callback(head.status)

    def received(self, pieces: list[bytes], trailers: Fields | None) -> None:
        """Ignore the body."""

    def broken(self, error: SandboxError) -> None:
        self.answered.errback(error)


class Probes:
    """Probes applications: one probe of a preview at a time, whose result concurrent callers share.

    A probe does not count against the session's connection limit.

    :param timeout: seconds until a probe is cancelled.
    :param keep: seconds for which a result is cached.
    """

    def __init__(self, pool: Pool, clock: IReactorTime, timeout: float, keep: float) -> None:
        self._pool = pool
        self._clock = clock
        self._timeout = timeout
        self._found: ReadThroughCache[tuple[str, Target], int | str] = ReadThroughCache(
            clock, lambda key: Deferred.fromCoroutine(self._probe(*key)), keep=keep, keep_nothing=0, limit=_KEPT
        )

    async def check(self, session_id: str, target: Target) -> int | str:
        """The status of the application's response, or a short reason why there is none."""
        try:
            found = self._found.get((session_id, target))
        except CacheMiss as miss:
            await miss.refresh()
            found = self._found.get((session_id, target))
        assert found is not None
        return found

    async def _probe(self, session_id: str, target: Target) -> int | str:
        async def ask() -> int:
            upstream = await self._pool.connect(session_id, target, counted=False)
            return await Probe(upstream, b"localhost:%d" % target.port).answered

        try:
            return await Deferred.fromCoroutine(ask()).addTimeout(self._timeout, self._clock)
        except SandboxError as error:
            return _reason(error)
        except DeferredTimeout:
            return "Timeout"


def _reason(error: SandboxError) -> str:
    if isinstance(error, PreviewMisbehaved):
        return "Invalid response"
    cause = error.__cause__
    if isinstance(cause, UserError):  # Twisted's connection timeout and its cancelled attempt are both UserErrors.
        return "Timeout"
    if isinstance(cause, ConnectError) and cause.osError is not None:
        return _WORDS.get(cause.osError, "Connection failed")
    return "Connection closed"
