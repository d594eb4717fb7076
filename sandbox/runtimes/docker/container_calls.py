"""Per-container mutex for engine calls, with a backoff for containers whose calls time out.

The engine locks a container while it works on it. Code in a container can hold that lock for ever (it stops the
engine's ``runc init`` while a command is started); every further call about the container then occupies a thread until
its timeout.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import ContainerUnresponsive, EngineUnavailable, Overloaded
from sandbox.runtimes.docker.backoff import Backoff

T = TypeVar("T")
_log = Logger()


class ContainerCalls:
    """Mutexes by container, and the containers in backoff.

    Removals bypass it: a removal ends an unresponsive container and must not wait for it.

    :param ping: pings the engine. A call that timed out while the engine was away puts no container in backoff.
    :param backoff: seconds for which calls fail at once after a call about the container timed out.
    :param limit: calls that may wait for one container's mutex.
    """

    def __init__(self, clock: IReactorTime, ping: Callable[[], Deferred[None]], *, backoff: float, limit: int) -> None:
        self._ping = ping
        self._unresponsive = Backoff(clock, backoff)
        self._limit = limit
        self._locks: dict[str, DeferredLock] = {}
        self._pings: set[Deferred[None]] = set()
        self._closed = False

    def close(self) -> None:
        """Cancel the pings that follow timed-out calls."""
        self._closed = True
        for ping in list(self._pings):
            ping.cancel()

    def run(self, container_id: str, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Run ``work`` while holding the container's mutex.

        Cancelling withdraws a waiting call; a running call continues with its result dropped, and the next call waits
        for its end.

        :raises ContainerUnresponsive: when the container is in backoff.
        :raises Overloaded: when too many calls wait already.
        """
        begun = False

        async def run() -> T:
            nonlocal begun
            self._check(container_id)
            lock = self._locks.setdefault(container_id, DeferredLock())
            if len(lock.waiting) >= self._limit:
                raise Overloaded("The engine has too many calls waiting", code="ENGINE_BUSY")
            try:
                await lock.acquire()
                begun = True
                try:
                    self._check(container_id)
                    return await work()
                except ContainerUnresponsive:
                    raise
                except EngineUnavailable:
                    self._suspect(container_id)
                    raise
                finally:
                    lock.release()
            finally:
                if not lock.locked and not lock.waiting:
                    self._locks.pop(container_id, None)

        running = Deferred.fromCoroutine(run())
        outcome: Deferred[T] = Deferred(lambda _: None if begun else running.cancel())

        def done(result: T | Failure) -> None:
            if not outcome.called:
                outcome.callback(result)

        running.addBoth(done)
        return outcome

    def leave_alone(self, container_id: str) -> None:
        """Put the container in backoff: further calls about it fail at once."""
        self._unresponsive.start(container_id)

    def forget(self, container_id: str) -> None:
        """End the container's backoff."""
        self._unresponsive.end(container_id)

    def _suspect(self, container_id: str) -> None:
        """A call about the container timed out: put it in backoff, unless a ping shows that the engine is away."""
        if self._closed:
            return
        self.leave_alone(container_id)

        def pinged(result: object) -> None:
            self._pings.discard(ping)
            if isinstance(result, Failure):
                self.forget(container_id)
                return
            _log.warn(
                "the engine does not answer for container={container}: it is left alone for {seconds:g} s",
                container=container_id[:12],
                seconds=self._unresponsive.seconds,
            )

        ping = self._ping()
        self._pings.add(ping)
        ping.addBoth(pinged)

    def _check(self, container_id: str) -> None:
        if container_id in self._unresponsive:
            raise ContainerUnresponsive(container_id)
