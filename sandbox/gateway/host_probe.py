"""Probes which Host applications accept, for registrations with ``host: auto`` (docs/previews.md)."""

from __future__ import annotations

from functools import partial

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import PreviewMisbehaved, PreviewTimedOut, PreviewUnreachable, SandboxError
from sandbox.domain.host_verdicts import HostMode, HostVerdict
from sandbox.domain.model import Destination, Target
from sandbox.gateway.health import Probe
from sandbox.gateway.upstream.pool import Pool
from sandbox.policy.host_rule import refuses, verdict
from sandbox.protocols.hostnames import Addresses

_log = Logger()

_NOT_HTTP = 0


class HostProbe:
    """Determines the verdicts of ``auto``: one probe at a time for each address form of a preview.

    The probe is a ``GET /`` from the daemon itself: it passes no access control and is neither logged nor counted as a
    request.

    :param timeout: seconds until a probe is cancelled, and so the maximum that a request waits for it.
    :param retry: seconds until a probe is repeated that timed out or whose application refuses requests.
    """

    def __init__(self, pool: Pool, clock: IReactorTime, addresses: Addresses, *, timeout: float, retry: float) -> None:
        self._pool = pool
        self._clock = clock
        self._addresses = addresses
        self._timeout = timeout
        self._retry = retry
        self._waiting: dict[HostVerdict, list[Deferred[None]]] = {}

    def ask(self, session_id: str, destination: Destination, *, by_path: bool) -> Deferred[None] | None:
        """Probe an application whose verdict is due.

        :param by_path: whether to probe for the path form of the address.
        :return: fires when the request may proceed, whatever the verdict; ``None``: proceed at once. Cancelling it
            stops the wait, not the probe.
        """
        sought = destination.verdicts.path if by_path else destination.verdicts.host
        idle = sought not in self._waiting
        if idle and self._clock.seconds() < sought.not_before:
            return None
        waiting = self._waiting.setdefault(sought, [])
        waiter: Deferred[None] | None = None
        if sought.patient:
            waiter = Deferred(waiting.remove)
            waiting.append(waiter)
        if idle:
            self._begin(session_id, destination, sought, by_path)
        return waiter

    def _begin(self, session_id: str, destination: Destination, sought: HostVerdict, by_path: bool) -> None:
        target = destination.target
        names = self._addresses
        public = names.path_authority if by_path else names.host_authority(target.port, session_id)
        asking = Deferred.fromCoroutine(self._find(session_id, target, public)).addTimeout(self._timeout, self._clock)
        asking.addCallbacks(partial(self._found, session_id, sought), partial(self._failed, sought))
        asking.addErrback(lambda failure: _log.failure("host probe failed", failure))
        asking.addCallback(lambda _: self._let_go(sought))

    async def _find(self, session_id: str, target: Target, public: str) -> HostMode | None:
        answer = await self._answer(session_id, target, public)
        if not refuses(answer):
            return HostMode.PUBLIC
        return verdict(answer, await self._answer(session_id, target, f"localhost:{target.port}"))

    async def _answer(self, session_id: str, target: Target, host: str) -> int | None:
        """The status of the application's response to a Host; ``None`` when it closes the connection."""
        upstream = await self._pool.connect(session_id, target)
        try:
            return await Probe(upstream, host.encode("ascii")).answered
        except PreviewMisbehaved:
            return _NOT_HTTP
        except PreviewUnreachable:
            if upstream.closing:  # Closed by us: the container is no longer a destination.
                raise
            return None

    def _found(self, session_id: str, sought: HostVerdict, found: HostMode | None) -> None:
        if found is None:
            sought.forget()
            return
        sought.found, sought.due, sought.patient = found, False, True
        sought.not_before = self._clock.seconds() + self._retry
        if found is HostMode.LOCAL:
            sought.local_sockets.clear()
        _log.info("preview host found session={session} host={host}", session=session_id, host=found.value)

    def _failed(self, sought: HostVerdict, failure: Failure) -> None:
        if failure.check(DeferredTimeout, PreviewTimedOut):
            sought.patient = False
            sought.not_before = self._clock.seconds() + self._retry
            return
        sought.forget()
        failure.trap(SandboxError)

    def _let_go(self, sought: HostVerdict) -> None:
        waiting = self._waiting.pop(sought)
        while waiting:
            waiting.pop(0).callback(None)
