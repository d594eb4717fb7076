"""At most one engine call at a time about a container, and none for a while about one that does not come back.

The engine locks a container while it works on it. Code in a container can make that last for ever (it stops the
engine's ``runc init`` while a command is started), and every further call about the container then costs a thread for
as long as calls may take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import ContainerUnresponsive, EngineUnavailable, Overloaded

T = TypeVar("T")
_log = Logger()


class ContainerCalls:
    """Mutexes by container, and which containers are left alone.

    A removal does not ask here: it is what ends such a container, and must not wait for it.

    :param ping: tells whether the engine answers at all. A call that failed with it away is no fault of a container's.
    :param backoff: seconds for which calls fail at once after one about the container did not come back.
    :param limit: calls about one container that may wait for each other.
    """

    def __init__(self, clock: IReactorTime, ping: Callable[[], Deferred[None]], *, backoff: float, limit: int) -> None:
        self._clock = clock
        self._ping = ping
        self._backoff = backoff
        self._limit = limit
        self._locks: dict[str, DeferredLock] = {}
        self._unresponsive: dict[str, float] = {}
        self._pings: set[Deferred[None]] = set()
        self._closed = False

    def close(self) -> None:
        """Find out no more whose fault it is that a call does not come back."""
        self._closed = True
        for ping in list(self._pings):
            ping.cancel()

    def run(self, container_id: str, work: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Do ``work`` when no other call about the container is under way.

        Cancelling takes back what still waits; what has begun goes on unseen, and the next call waits for its end.

        :raises ContainerUnresponsive: when a call about the container did not come back a short while ago.
        :raises Overloaded: when too many wait already.
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
        """A call about the container does not come back: let others fail at once for a while."""
        now = self._clock.seconds()
        self._unresponsive = {one: until for one, until in self._unresponsive.items() if until > now}
        self._unresponsive[container_id] = now + self._backoff

    def forget(self, container_id: str) -> None:
        """The call did come back: the container may be asked about again."""
        self._unresponsive.pop(container_id, None)

    def _suspect(self, container_id: str) -> None:
        """A call about the container did not come back, for which the engine as a whole may have been the reason."""
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
                seconds=self._backoff,
            )

        ping = self._ping()
        self._pings.add(ping)
        ping.addBoth(pinged)

    def _check(self, container_id: str) -> None:
        until = self._unresponsive.get(container_id)
        if until is not None and until > self._clock.seconds():
            raise ContainerUnresponsive(container_id)
