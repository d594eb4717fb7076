"""Makes store and engine agree: at start, whenever the engine was away, and now and then."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import attrs
from twisted.internet.defer import Deferred, DeferredLock, DeferredSemaphore, gatherResults
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from sandbox.domain.errors import ContainerNotFound, SandboxError
from sandbox.domain.events import SessionRemoved, SessionRemoving
from sandbox.domain.model import Container, Phase, SessionRecord
from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.policy.sessions import Action, Decision, decide, plan
from sandbox.runtimes.interface import IRuntime
from sandbox.stores.interface import IStore, Position

_log = Logger()
#: Rows read at a time.
_PAGE = 500
#: Decisions that are carried out at once.
_AT_ONCE = 4


def _now() -> datetime:
    return datetime.now(UTC)


class Reconciliation:
    """Compares the store's rows with the engine's labelled containers and volumes, and acts on what differs.

    One daemon per installation, which ``IStore.acquire_lease`` ensures: a second one on the same database would
    find the first one's unfinished creations and take them back. With a database that is a platform's
    (read-only), nothing is compared: its rows are not ours.

    :param locks: shared with :class:`sandbox.operations.sessions.Sessions`.
    :param events: is told of each session that is removed.
    :param interval: seconds between runs beside those at start and on the engine's return; 0 for none.
    :param now: the wall clock.
    """

    def __init__(
        self,
        clock: IReactorTime,
        runtime: IRuntime,
        store: IStore,
        locks: KeyedLocks,
        *,
        interval: float,
        events: EventBus,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._locks = locks
        self._interval = interval
        self._events = events
        self._now = now
        self._one_run = DeferredLock()
        self._due = False
        self._repetition = LoopingCall(self._attempt)
        self._repetition.clock = clock
        self._stop_watching: Callable[[], None] = lambda: None

    def open(self) -> Deferred[None]:
        """Reconcile, and go on doing so; fires when the first run ended, well or not."""
        self._stop_watching = self._runtime.on_return(self._returned)
        if self._interval:
            self._repetition.start(self._interval, now=False)
        return self._attempt()

    def close(self) -> Deferred[None]:
        """Begin no more runs; fires when a run that is going on has ended."""
        self._stop_watching()
        if self._repetition.running:
            self._repetition.stop()
        return self._one_run.run(lambda: None)

    def run(self) -> Deferred[Sequence[Decision]]:
        """Compare and act once; fires with the decisions that were carried out.

        :raises EngineError: when the engine could not be asked.
        :raises StoreUnavailable: when the store could not be asked.
        """
        return self._one_run.run(lambda: Deferred.fromCoroutine(self._run()))

    def _returned(self) -> None:
        # An engine that comes and goes quickly makes one run wait, not many.
        if not self._due:
            self._due = True
            self._attempt()

    def _attempt(self) -> Deferred[None]:
        async def attempt() -> None:
            try:
                await self.run()
            except SandboxError as error:
                _log.warn("reconciliation is put off: {error}", error=error.message)
            except Exception:
                _log.failure("reconciliation failed by a fault of ours")

        return Deferred.fromCoroutine(attempt())

    async def _run(self) -> Sequence[Decision]:
        self._due = False
        if self._store.read_only:
            return []
        records = await self._records()
        decisions = plan(records, await self._runtime.list(), await self._runtime.workspaces())
        gate = DeferredSemaphore(_AT_ONCE)
        done = await gatherResults([gate.run(self._carry_out, decision) for decision in decisions])
        _log.info("reconciled {rows} sessions: {count} differed", rows=len(records), count=len(decisions))
        return [decision for decision, carried_out in zip(decisions, done, strict=True) if carried_out]

    async def _records(self) -> dict[str, SessionRecord]:
        found: dict[str, SessionRecord] = {}
        after: Position | None = None
        while True:
            rows = await self._page(after)
            found.update((row.id, row) for row in rows)
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
                    "reconcile session={session}: {action} is put off: {error}",
                    session=decision.session_id,
                    action=decision.action.value,
                    error=error.message,
                )
                return False

        return Deferred.fromCoroutine(carry_out())

    async def _in_turn(self, decision: Decision) -> bool:
        # Since the gathering, others had their locks with this session.
        session_id = decision.session_id
        record = await self._store.read("get", lambda tx: tx.sessions.get(session_id))
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
            self._events.publish(SessionRemoving(session_id))
            await self._runtime.remove(session_id)
            await self._store.transaction("remove", lambda tx: tx.sessions.remove(session_id))
            self._events.publish(SessionRemoved(session_id))
        elif record is not None:
            phase = Phase.READY if container is not None else Phase.FAILED
            container_id = container.id if container is not None else record.container_id
            changed = attrs.evolve(record, phase=phase, container_id=container_id, updated_at=self._now())
            await self._store.transaction("replace", lambda tx: tx.sessions.replace(changed))
        return True

    async def _container(self, session_id: str) -> Container | None:
        try:
            return await self._runtime.find(session_id)
        except ContainerNotFound:
            return None
