"""Whether an application answers (contract section 7)."""

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
#: Previews of which it is kept how they were, at most.
_KEPT = 10_000
#: Why an application does not answer: nothing listens on its port.
REFUSED = "Connection refused"
_WORDS = {
    errno.ECONNREFUSED: REFUSED,
    errno.EHOSTUNREACH: "No route to host",
    errno.ENETUNREACH: "Network unreachable",
}


class Probe:
    """One GET of ``/``; the head of the answer is enough.

    :param host: the Host that is asked for.
    :ivar answered: fires with the status.
    """

    method = b"GET"
    upgrading = False
    sent_all = True

    def __init__(self, upstream: Upstream, host: bytes) -> None:
        self._upstream = upstream
        self.answered: Deferred[int] = Deferred(lambda _: upstream.abandon())
        upstream.begin(self, _REQUEST % host)

    def interim(self, head: ResponseHead) -> None:
        """Not the answer yet."""

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        """Cannot be: nothing was offered."""

    def responded(self, head: ResponseHead, framing: Framing) -> None:
        self._upstream.abandon()
        self.answered.callback(head.status)

    def received(self, pieces: list[bytes], trailers: Fields | None) -> None:
        """The body does not matter."""

    def broken(self, error: SandboxError) -> None:
        self.answered.errback(error)


class Probes:
    """Asks applications whether they answer, one probe of a preview at a time, whoever and however many want to know.

    A probe takes no room among the connections that carry requests.

    :param timeout: seconds that a probe may take.
    :param keep: seconds for which what it found is everybody's.
    """

    def __init__(self, pool: Pool, clock: IReactorTime, timeout: float, keep: float) -> None:
        self._pool = pool
        self._clock = clock
        self._timeout = timeout
        self._found: ReadThroughCache[tuple[str, Target], int | str] = ReadThroughCache(
            clock, lambda key: Deferred.fromCoroutine(self._probe(*key)), keep=keep, keep_nothing=0, limit=_KEPT
        )

    async def check(self, session_id: str, target: Target) -> int | str:
        """The status that the application answers with, or why it does not, in a few words."""
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
    if isinstance(cause, UserError):  # Twisted's connection timeout is one, and so is an attempt that was given up.
        return "Timeout"
    if isinstance(cause, ConnectError) and cause.osError is not None:
        return _WORDS.get(cause.osError, "Connection failed")
    return "Connection closed"
