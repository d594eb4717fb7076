"""The subsystem of sessions: their life, and reconciliation of store and engine."""

from __future__ import annotations

from typing import Any

from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.deletions import PendingDeletions
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.runtimes.interface import IRuntime
from sandbox.service.subsystem import Subsystem
from sandbox.settings import Settings
from sandbox.stores.interface import IStore


class SessionsSubsystem(Subsystem):
    """Changes sessions, one change at a time for each.

    :ivar locks: one for each session that is being changed.
    """

    name = "sessions"

    def __init__(self, reactor: Any, settings: Settings, runtime: IRuntime, store: IStore, events: EventBus) -> None:
        self.locks = KeyedLocks(settings.session_queue)
        deletions = PendingDeletions()
        self._reconciliation = Reconciliation(
            reactor,
            runtime,
            store,
            self.locks,
            interval=settings.reconcile_interval,
            events=events,
            deletions=deletions,
        )
        self.sessions = Sessions(
            runtime,
            store,
            settings,
            locks=self.locks,
            events=events,
            deletions=deletions,
            unfinished=self._reconciliation.soon,
        )

    async def open(self) -> None:
        """Make store and engine agree."""
        await self._reconciliation.open()

    async def close(self) -> None:
        """End reconciliation. A session that is being made or removed is made or removed to its end."""
        await self._reconciliation.close()
        await self.locks.idle()
