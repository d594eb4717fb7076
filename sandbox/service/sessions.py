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

#: Seconds until reconciliation retries unfinished work.
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
        """Reconcile store and engine now, every interval, and after each absence of the engine."""
        # An engine that reconnects repeatedly queues one run, not many.
        self._stop_watching = self._runtime.on_return(self._job.trigger)
        self._job.start(now=True)
        await self._job.ended()

    async def close(self) -> None:
        """Stop reconciliation. Creations and removals in progress are completed."""
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
        """Work was left unfinished: reconcile soon, and repeat until none is left."""
        self._unfinished = True
        if not self._retry.active:
            self._retry.start(_RETRY, self._job.trigger)
