"""Refreshes the dirty containers of a cache: bounded concurrency, one inspection for many events, retries."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.model import Container
from sandbox.net.timers import Timer
from sandbox.runtimes.docker.container_cache import ContainerCache

_log = Logger()

#: Seconds before inspections that failed are tried again.
_RETRY = 1.0


class Inspections:
    """Inspects the dirty containers of a cache.

    :param inspect: returns a container, or ``None`` when it is gone.
    :param tell: called with the id of each session that an inspection refreshed.
    :param at_once: maximum of concurrent inspections.
    """

    def __init__(
        self,
        clock: IReactorTime,
        inspect: Callable[[str], Deferred[Container | None]],
        cache: ContainerCache,
        tell: Callable[[str], None],
        *,
        at_once: int,
    ) -> None:
        self._inspect = inspect
        self._cache = cache
        self._tell = tell
        self._at_once = at_once
        self._queue: dict[str, None] = {}
        self._failed: dict[str, None] = {}
        self._logged: set[str] = set()
        self._in_flight: set[str] = set()
        self._waiting: list[Deferred[None]] = []
        self._retry = Timer(clock)
        self._closed = False

    def look_at(self, container_id: str) -> None:
        """Queue a container for inspection if it is dirty."""
        if container_id in self._cache.unsettled():
            self._queue[container_id] = None
        self._pump()

    def settled(self) -> Deferred[None]:
        """Inspect all dirty containers; fires when none is left."""
        waiting: Deferred[None] = Deferred(lambda _: self._waiting.remove(waiting))
        self._waiting.append(waiting)
        self._queue.update(dict.fromkeys(self._cache.unsettled()))
        self._pump()
        return waiting

    def close(self) -> None:
        """Start no further inspections."""
        self._closed = True
        self._queue.clear()
        self._retry.stop()

    def _pump(self) -> None:
        while len(self._in_flight) < self._at_once:
            container_id = next((one for one in self._queue if one not in self._in_flight), None)
            if container_id is None:
                break
            del self._queue[container_id]
            claim = self._cache.unsettled().get(container_id)
            if claim is not None:
                self._in_flight.add(container_id)
                self._inspect(container_id).addCallbacks(
                    self._inspected,
                    self._not_inspected,
                    callbackArgs=(container_id, claim),
                    errbackArgs=(container_id,),
                ).addErrback(lambda failure: _log.failure("processing of an inspection failed", failure))
        if not self._cache.unsettled():
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def _inspected(self, found: Container | None, container_id: str, claim: int) -> None:
        self._in_flight.discard(container_id)
        self._logged.discard(container_id)
        if self._closed:
            return
        session_id = self._cache.refresh(container_id, claim, found)
        if session_id is not None:
            self._tell(session_id)
        self.look_at(container_id)

    def _not_inspected(self, failure: Failure, container_id: str) -> None:
        self._in_flight.discard(container_id)
        if self._closed:
            return
        if container_id not in self._logged:
            # Log the first failure only: retries may go on for long.
            self._logged = {one for one in self._logged if one in self._cache.unsettled()} | {container_id}
            _log.warn(
                "container={container} could not be inspected: {error}",
                container=container_id[:12],
                error=failure.getErrorMessage(),
            )
        # Retry after a delay: a busy engine refuses at once, so an immediate retry would loop.
        self._failed[container_id] = None
        if not self._retry.active:
            self._retry.start(_RETRY, self._try_again)

    def _try_again(self) -> None:
        self._queue.update(self._failed)
        self._failed.clear()
        self._pump()
