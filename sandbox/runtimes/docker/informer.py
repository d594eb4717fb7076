"""Keeps the cache of session containers current: event stream, listing, inspections; notifies listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import EngineError, Overloaded
from sandbox.domain.model import Container, ContainerSummary
from sandbox.net.cancellation import delay_cancellation
from sandbox.net.timers import sleep, timer
from sandbox.runtimes.docker.container_cache import CONTAINER_EVENTS, NETWORK_EVENTS, ContainerCache, event_from
from sandbox.runtimes.docker.events import EngineEvents, Reading, StreamGarbled
from sandbox.runtimes.docker.grace import Grace
from sandbox.runtimes.docker.inspection import SessionLabels
from sandbox.runtimes.docker.inspections import Inspections
from sandbox.runtimes.docker.memory_log import MemoryLog
from sandbox.runtimes.interface import Listener
from sandbox.scheduling.scheduler import Scheduler

L = TypeVar("L")
_log = Logger()

_FILTERS = {"type": ["container", "network"], "event": [*CONTAINER_EVENTS, *NETWORK_EVENTS]}
#: Seconds before the first reconnect after the stream broke; doubles up to the setting.
_FIRST_RETRY = 0.1


class Source(Protocol):
    """The engine calls that the informer makes besides reading events."""

    def summaries(self) -> Deferred[Sequence[ContainerSummary]]:
        """All containers that carry the label."""

    def inspect(self, container_id: str) -> Deferred[Container | None]:
        """One container, or ``None`` when it is gone."""


class StreamCounts:
    """Statistics of the event stream.

    :ivar since: the clock's time since which the cache is trusted; ``None`` while it is not.
    :ivar events: messages received.
    :ivar breaks: how often the stream ended or could not be opened.
    """

    def __init__(self) -> None:
        self.since: float | None = None
        self.events = 0
        self.breaks = 0


class Informer:
    """Follows one engine's events from :meth:`open` to :meth:`close`; reconnects after each loss of the engine.

    The informer opens the stream first, with ``since``: the engine sends the head before it subscribes, and events in
    between would be lost. Then it lists the containers, which covers changes while the daemon or the engine was away.
    The cache is trusted from then until the stream breaks, for every container that has been inspected by then.

    :param labels: decides which containers are served sessions.
    :param ended: called with the id of each container that died or was destroyed.
    :param inspections: maximum of concurrent inspections.
    :param heartbeat: seconds between pings; a failed ping closes the stream. Also the timeout for the inspections
        after a listing.
    :param retry_max: maximum delay between reconnects, in seconds.
    :param grace: the grace period, begun when the engine goes away and ended when it answers.
    :ivar counts: statistics of the stream.
    """

    def __init__(
        self,
        clock: IReactorTime,
        scheduler: Scheduler,
        events: EngineEvents,
        source: Source,
        *,
        labels: SessionLabels,
        ended: Callable[[str], None],
        inspections: int,
        heartbeat: float,
        retry_max: float,
        grace: Grace | None = None,
    ) -> None:
        self._cache = ContainerCache()
        self._clock = clock
        self._scheduler = scheduler
        self._events = events
        self._source = source
        self._labels = labels
        self._container_ended = ended
        self._inspections = Inspections(clock, source.inspect, self._cache, self._tell, at_once=inspections)
        self._memory = MemoryLog(clock)
        self._heartbeat = heartbeat
        self._retry_max = retry_max
        self._grace = grace or Grace(clock, lambda: succeed(None), 0)
        self._trusted = False
        self.counts = StreamCounts()
        self._last_event_ns: int | None = None
        self._was_away = False
        self._complaint = ""
        self._listeners: list[Listener] = []
        self._return_listeners: list[Callable[[], None]] = []
        self._told: dict[str, Container] = {}
        self._crowded: set[str] = set()
        self._opening: list[Deferred[None]] = []
        self._running: Deferred[None] | None = None
        self._closing = False
        self._delay = _FIRST_RETRY

    def open(self) -> Deferred[None]:
        """Start; fires when the cache is trusted or the first attempt failed."""
        opened: Deferred[None] = Deferred()
        self._opening.append(opened)
        self._closing = False
        self._running = Deferred.fromCoroutine(self._run())
        self._running.addErrback(self._died)
        return opened

    def close(self) -> Deferred[None]:
        """Stop; fires when the stream is closed."""
        self._closing = True
        running, self._running = self._running, None
        self._inspections.close()
        self._memory.close()
        self._open_done()
        if running is None:
            return succeed(None)
        running.cancel()
        return running

    def cached(self, session_id: str) -> Container | None:
        """The session's container, when the cache is trusted and the session not dirty."""
        return self._cache.cached(session_id) if self._trusted else None

    async def remembered(self, session_id: str) -> Container | None:
        """The session's container from before the engine went away, while the grace period holds."""
        before = self._cache.cached(session_id)
        if before is None or self._trusted or not await self._grace.holds():
            return None
        return before if self._cache.cached(session_id) is before else None

    def sessions(self) -> int:
        """The number of sessions with containers in the cache."""
        return len(self._cache.sessions())

    def mark(self, session_id: str) -> int:
        """A version number that each event about the session changes."""
        return self._cache.mark(session_id)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """As ``IEngineEvents.watch``."""
        return _added(self._listeners, listener)

    def on_return(self, listener: Callable[[], None]) -> Callable[[], None]:
        """As ``IEngineEvents.on_return``."""
        return _added(self._return_listeners, listener)

    # -- the stream ------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._follow()
                _log.warn("the engine closed its event stream")
            except StreamGarbled as error:
                self._last_event_ns = None
                _log.error("the engine's event stream is garbled: {error}", error=error)
            except (EngineError, Overloaded) as error:
                if not self._closing and error.message != self._complaint:
                    _log.warn("the engine cannot be followed: {error}", error=error.message)
                self._complaint = error.message
            if self._closing:
                # Closing cancels the running call or stops the stream; neither raises CancelledError here.
                return
            self._was_away = True
            self.counts.breaks += 1
            self._open_done()
            await sleep(self._clock, self._delay)
            self._delay = min(self._delay * 2, self._retry_max)

    def _died(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            _log.failure("the informer of the engine's events failed", failure)
        self._open_done()

    async def _follow(self) -> None:
        moment = await self._events.ping()
        self._grace.end()
        since = self._since(moment)
        reading = await self._events.stream(_FILTERS, since, self._received)
        heartbeat = self._scheduler.every(self._heartbeat, "engine-heartbeat", lambda: self._beat(reading))
        stock = Deferred.fromCoroutine(self._take_stock())
        stock.addErrback(self._no_stock, reading)
        try:
            await reading.ended
        finally:
            if self._trusted:
                self._grace.begin()
            self._trusted = False
            self.counts.since = None
            heartbeat.stop()
            stock.cancel()
            reading.stop()
            await delay_cancellation(reading.closed)

    def _since(self, engine_clock: float) -> str:
        # By the engine's clock, not ours. A repeated event costs one inspection; a lost event leaves the cache wrong.
        moment = (int(engine_clock) - 1) * 10**9
        if self._last_event_ns is not None:
            moment = min(moment, self._last_event_ns)
        return f"{moment // 10**9}.{moment % 10**9:09d}"

    async def _beat(self, reading: Reading) -> None:
        try:
            await self._events.ping()
        except EngineError:
            reading.stop()
            raise

    def _received(self, message: dict[str, Any]) -> None:
        self.counts.events += 1
        event = event_from(message, self._labels)
        if event is None:
            return
        self._last_event_ns = event.time_ns
        if event.action == "oom":
            # The container's state is unchanged: if the kernel killed its main process, "die" follows.
            self._memory.killed(event.session_id or "")
            return
        session_id = self._cache.apply(event)
        if session_id is None:
            return
        if event.action in ("die", "destroy"):
            self._container_ended(event.container_id)
        self._tell(session_id)
        self._inspections.look_at(event.container_id)

    async def _take_stock(self) -> None:
        before = self._cache.claimed
        found = await self._source.summaries()
        for session_id in self._cache.retain((one.id for one in found), before):
            self._tell(session_id)
        for one in found:
            self._cache.mark_dirty(one.id, one.session_id)
        # One container with a slow inspection must not delay the others: dirty containers are not trusted anyway.
        with suppress(TimeoutError):
            await self._inspections.settled().addTimeout(self._heartbeat, self._clock)
        self._trusted = True
        self.counts.since = self._clock.seconds()
        self._delay = _FIRST_RETRY
        self._complaint = ""
        _log.info("following the engine: {count} sessions have containers", count=len(self._cache.sessions()))
        for session_id in self._cache.sessions() | set(self._told):
            self._tell(session_id, always=True)
        if self._was_away:
            for listener in list(self._return_listeners):
                _call(listener)
        self._open_done()

    def _no_stock(self, failure: Failure, reading: Reading) -> None:
        if not failure.check(CancelledError):
            _log.warn("the engine's containers could not be listed: {error}", error=failure.getErrorMessage())
        reading.stop()

    # -- notification ----------------------------------------------------------------------------------------------

    def _tell(self, session_id: str, *, always: bool = False) -> None:
        container = self._cache.latest(session_id)
        self._warn_of_crowd(session_id)
        if not always and self._told.get(session_id) == container:
            return
        if container is None:
            self._told.pop(session_id, None)
        else:
            self._told[session_id] = container
        for listener in list(self._listeners):
            _call(listener, session_id, container)

    def _warn_of_crowd(self, session_id: str) -> None:
        count = self._cache.count(session_id)
        chosen = self._cache.cached(session_id)
        if count < 2:
            self._crowded.discard(session_id)
        elif chosen is not None and session_id not in self._crowded:
            self._crowded.add(session_id)
            _log.warn(
                "{count} containers carry session={session}: the newest that runs counts, {container} now",
                count=count,
                session=session_id,
                container=chosen.id[:12],
            )

    def _open_done(self) -> None:
        opening, self._opening = self._opening, []
        for waiting in opening:
            # Fire in a reactor turn of its own: a callback may close the informer, and the call stack may be inside it.
            timer(self._clock, 0, waiting.callback, None)


def _added(listeners: list[L], listener: L) -> Callable[[], None]:
    listeners.append(listener)

    def end() -> None:
        if listener in listeners:
            listeners.remove(listener)

    return end


def _call(listener: Callable[..., None], *arguments: Any) -> None:
    try:
        listener(*arguments)
    except Exception:
        _log.failure("a listener of the engine's changes failed")
