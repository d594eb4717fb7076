"""Reconciliation of store and engine: at start, after each absence of the engine, and periodically."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore, gatherResults
from twisted.logger import Logger

from sandbox.domain.errors import ContainerNotFound, ContainerUnresponsive, SandboxError
from sandbox.domain.events import SessionRemoved, SessionRemoving
from sandbox.domain.model import ContainerSummary, Phase, SessionRecord
from sandbox.domain.principals import SYSTEM
from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.deletions import PendingDeletions
from sandbox.policy.containers import choose
from sandbox.policy.sessions import Action, Decision, decide, plan
from sandbox.runtimes.interface import IContainers
from sandbox.stores.interface import IStore, Position

_log = Logger()
#: Rows per query.
_PAGE = 500
#: Decisions carried out concurrently.
_AT_ONCE = 4


def _now() -> datetime:
    return datetime.now(UTC)


class Reconciliation:
    """Compares the store's rows with the engine's labelled containers and volumes, and acts on the differences.

    Requires one daemon per installation, which ``IStore.acquire_lease`` ensures: a second one on the same database
    would roll back the first one's unfinished creations. A platform's database (read-only) is not compared: its rows
    belong to another program.

    :param locks: shared with :class:`sandbox.operations.sessions.Sessions`.
    :param events: receives an event for each removed session.
    :param deletions: deletions that the store could not record; shared with ``Sessions``.
    :param now: the wall clock.
    """

    def __init__(
        self,
        containers: IContainers,
        store: IStore,
        locks: KeyedLocks,
        *,
        events: EventBus,
        deletions: PendingDeletions | None = None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._containers = containers
        self._store = store
        self._locks = locks
        self._events = events
        self._deletions = PendingDeletions() if deletions is None else deletions
        self._now = now

    def run(self) -> Deferred[Sequence[Decision]]:
        """Compare and act once, one run at a time; fires with the decisions that were carried out.

        :raises EngineError: when the engine could not be queried.
        :raises StoreUnavailable: when the store could not be queried.
        """
        return Deferred.fromCoroutine(self._run())

    async def _run(self) -> Sequence[Decision]:
        if self._store.read_only:
            return []
        records = await self._records()
        decisions = plan(records, await self._containers.list(), await self._containers.workspaces())
        gate = DeferredSemaphore(_AT_ONCE)
        done = await gatherResults([gate.run(self._carry_out, decision) for decision in decisions])
        _log.info("reconciled {rows} sessions: {count} differed", rows=len(records), count=len(decisions))
        return [decision for decision, carried_out in zip(decisions, done, strict=True) if carried_out]

    async def _records(self) -> dict[str, SessionRecord]:
        found: dict[str, SessionRecord] = {}
        after: Position | None = None
        while True:
            rows = await self._page(after)
            found.update((row.id, self._deletions.seen(row) or row) for row in rows)
            if len(rows) < _PAGE:
                return found
            after = Position(rows[-1].created_at, rows[-1].id)

    def _page(self, after: Position | None) -> Deferred[Sequence[SessionRecord]]:
        return self._store.read("page", lambda tx: tx.sessions.page(None, after, _PAGE))

    def _carry_out(self, decision: Decision) -> Deferred[bool]:
        async def carry_out() -> bool:
            try:
                return await self._locks.run(decision.session_id, lambda: self._in_turn(decision))
            except SandboxError as error:
                _log.warn(
                    "reconcile session={session}: {action} postponed: {error}",
                    session=decision.session_id,
                    action=decision.action.value,
                    error=error.message,
                )
                return False

        return Deferred.fromCoroutine(carry_out())

    async def _in_turn(self, decision: Decision) -> bool:
        # The session may have changed since the facts were gathered: decide again under its lock.
        session_id = decision.session_id
        record = self._deletions.seen(await self._store.read("get", lambda tx: tx.sessions.get(session_id)))
        container = await self._container(session_id)
        if decide(session_id, record, container, decision.action is Action.REMOVE) != decision:
            return False
        _log.info(
            "reconcile session={session}: {action}, {reason}",
            session=session_id,
            action=decision.action.value,
            reason=decision.reason,
        )
        if decision.action is Action.REMOVE:
            self._events.publish(SessionRemoving(session_id, by=SYSTEM))
            await self._containers.remove(session_id)
            await self._store.transaction("remove", lambda tx: tx.sessions.remove(session_id), erases=True)
            self._deletions.discard(session_id)
            self._events.publish(SessionRemoved(session_id, by=SYSTEM))
        elif record is not None:
            phase = Phase.READY if container is not None else Phase.FAILED
            container_id = container.id if container is not None else record.container_id
            changed = attrs.evolve(record, phase=phase, container_id=container_id, updated_at=self._now())
            await self._store.transaction("replace", lambda tx: tx.sessions.replace(changed))
        return True

    async def _container(self, session_id: str) -> ContainerSummary | None:
        try:
            return await self._containers.find(session_id)
        except ContainerNotFound:
            return None
        except ContainerUnresponsive:
            # The engine does not answer for this container; its row in the list is sufficient here and for a removal.
            return choose(one for one in await self._containers.list() if one.session_id == session_id)
