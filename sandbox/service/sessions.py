"""Sessions subsystem: session lifecycle, and reconciliation of store and engine."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.net.timers import Timer
from sandbox.operations.deletions import PendingDeletions
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.runtimes.interface import IRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.subsystem import Subsystem
from sandbox.settings import Settings
from sandbox.stores.interface import IStore

#: Seconds until reconciliation tries again what was left unfinished.
_RETRY = 5.0


class SessionsSubsystem(Subsystem):
    """Serialises changes of each session.

    :ivar locks: the per-session locks.
    """

    name = "sessions"

    def __init__(
        self,
        scheduler: Scheduler,
        settings: Settings,
        runtime: IRuntime,
        store: IStore,
        events: EventBus,
    ) -> None:
        self.locks = KeyedLocks(settings.session_queue)
        self._runtime = runtime
        self._deletions = PendingDeletions()
        self.sessions = Sessions(
            runtime,
            store,
            settings,
            locks=self.locks,
            events=events,
            deletions=self._deletions,
            unfinished=self._retry_soon,
        )
        self._reconciliation = Reconciliation(runtime, store, self.locks, events=events, deletions=self._deletions)
        self._job = scheduler.job(settings.reconcile_interval, "reconciliation", self._reconcile)
        self._retry = Timer(scheduler.clock)
        self._unfinished = False
        self._stop_watching: Callable[[], None] = lambda: None

    async def open(self) -> None:
        """Make store and engine agree now, every interval, and when the engine was away."""
        # An engine that comes and goes quickly makes one run wait, not many.
        self._stop_watching = self._runtime.on_return(self._job.trigger)
        self._job.start(now=True)
        await self._job.ended()

    async def close(self) -> None:
        """End reconciliation. A session that is being made or removed is made or removed to its end."""
        self._stop_watching()
        self._retry.stop()
        await self._job.stop()
        self._retry.stop()
        await self.locks.idle()

    async def _reconcile(self) -> None:
        try:
            await self._reconciliation.run()
            self._unfinished = bool(self._deletions)
        finally:
            if self._unfinished:
                self._retry_soon()

    def _retry_soon(self) -> None:
        """Something was left unfinished: reconcile in a moment, and again until nothing is."""
        self._unfinished = True
        if not self._retry.active:
            self._retry.start(_RETRY, self._job.trigger)
