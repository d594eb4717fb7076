"""Asks applications which Host they take, where their registrations leave that open (docs/previews.md)."""

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
    """Finds the verdicts of ``auto``: one question at a time for each form of a preview's addresses.

    The question is a ``GET /`` of our own. It is nobody's visit: no access is asked for, nothing is logged or counted
    as a request.

    :param timeout: seconds that a question, and so a request that waits for it, may take.
    :param retry: seconds until one that took too long, or whose application refuses requests, is asked again.
    """

    def __init__(self, pool: Pool, clock: IReactorTime, addresses: Addresses, *, timeout: float, retry: float) -> None:
        self._pool = pool
        self._clock = clock
        self._addresses = addresses
        self._timeout = timeout
        self._retry = retry
        self._waiting: dict[HostVerdict, list[Deferred[None]]] = {}

    def ask(self, session_id: str, destination: Destination, *, by_path: bool) -> Deferred[None] | None:
        """Ask an application whose verdict is due.

        :param by_path: whether for its path form.
        :return: fires when the request may go on, whatever was found; ``None``: at once. Cancelling it gives up
            waiting, not the question.
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
        asking.addErrback(lambda failure: _log.failure("asking for the Host failed", failure))
        asking.addCallback(lambda _: self._let_go(sought))

    async def _find(self, session_id: str, target: Target, public: str) -> HostMode | None:
        answer = await self._answer(session_id, target, public)
        if not refuses(answer):
            return HostMode.PUBLIC
        return verdict(answer, await self._answer(session_id, target, f"localhost:{target.port}"))

    async def _answer(self, session_id: str, target: Target, host: str) -> int | None:
        """The status that the application answers a Host with; ``None`` when it closes the connection."""
        upstream = await self._pool.connect(session_id, target)
        try:
            return await Probe(upstream, host.encode("ascii")).answered
        except PreviewMisbehaved:
            return _NOT_HTTP
        except PreviewUnreachable:
            if upstream.closing:  # By us: the container is not to be reached any more.
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
