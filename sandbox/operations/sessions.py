"""Session lifecycle: create, read, start, stop and delete (contract section 8)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, LogLevel

from sandbox.domain.errors import (
    Conflict,
    EngineUnavailable,
    SandboxError,
    SessionExists,
    StoreUnavailable,
    is_own_fault,
)
from sandbox.domain.events import SessionCreated, SessionRemoved, SessionRemoving, SessionStopped, SessionStopping
from sandbox.domain.model import (
    Container,
    ContainerSpec,
    Phase,
    Session,
    SessionRecord,
)
from sandbox.domain.principals import Principal
from sandbox.events.bus import EventBus
from sandbox.net.cancellation import delay_cancellation
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.deletions import PendingDeletions
from sandbox.operations.session_reader import SessionReader
from sandbox.policy.sessions import checked_id, checked_image, checked_limits, session_of
from sandbox.runtimes.interface import IContainers
from sandbox.settings import Settings
from sandbox.stores.interface import IStore

T = TypeVar("T")
_log = Logger()


def _now() -> datetime:
    return datetime.now(UTC)


class Sessions(SessionReader):
    """The use cases of a session's lifecycle. Changes of one session are serialised; different sessions change
    concurrently.

    The first parameter of every method is the caller, for events and the log.

    :param events: receives an event for each step of the lifecycle.
    :param deletions: shared with :class:`sandbox.operations.reconciliation.Reconciliation`.
    :param unfinished: called when work is left for reconciliation that should not wait for its next interval.
    :param now: the wall clock.
    """

    def __init__(
        self,
        containers: IContainers,
        store: IStore,
        settings: Settings,
        *,
        locks: KeyedLocks,
        events: EventBus,
        deletions: PendingDeletions | None = None,
        unfinished: Callable[[], None] = lambda: None,
        now: Callable[[], datetime] = _now,
    ) -> None:
        super().__init__(containers, store, PendingDeletions() if deletions is None else deletions)
        self._settings = settings
        self._locks = locks
        self._events = events
        self._unfinished = unfinished
        self._now = now

    # -- creating --------------------------------------------------------------------------------------------------

    def create(
        self,
        by: Principal,
        *,
        user_id: str,
        session_id: str | None = None,
        image: str | None = None,
        env: Mapping[str, str] | None = None,
        memory_mb: int | None = None,
        cpus: float | None = None,
    ) -> Deferred[Session]:
        """Create a session; fires when its container runs. A failed or cancelled creation is rolled back.

        :param session_id: default: 16 random lower-case hexadecimal digits.
        :raises SessionExists: when the id is taken; of two concurrent calls exactly one succeeds.
        :raises ImageUnknown: when the engine lacks the image.
        :raises InvalidRequest: with the name of the wrong field.
        """
        spec = ContainerSpec(
            session_id=session_id if session_id is not None else secrets.token_hex(8),
            image=image if image is not None else self._settings.session_image,
            env=env or {},
            memory_mb=memory_mb,
            cpus=cpus,
        )
        return Deferred.fromCoroutine(self._create(by, user_id, spec))

    async def _create(self, by: Principal, user_id: str, spec: ContainerSpec) -> Session:
        session_id = checked_id(spec.session_id)
        checked_limits(spec, self._settings)
        checked_image(spec.image)
        return await self._locks.run(session_id, lambda: self._create_in_turn(by, user_id, spec))

    async def _create_in_turn(self, by: Principal, user_id: str, spec: ContainerSpec) -> Session:
        now = self._now()
        record = SessionRecord(
            id=spec.session_id,
            user_id=user_id,
            image=spec.image,
            phase=Phase.CREATING,
            created_at=now,
            updated_at=now,
        )
        owned = False

        async def add() -> None:
            nonlocal owned
            if record.id in self._deletions:
                await self._remove(record.id)
                self._deletions.discard(record.id)
            await self._store.transaction("add", lambda tx: tx.sessions.add(record))
            owned = True
            self._events.publish(SessionCreated(record.id, user_id, by=by))

        try:
            await delay_cancellation(Deferred.fromCoroutine(add()))
            container = await self._make(spec)
            ready = attrs.evolve(record, phase=Phase.READY, container_id=container.id, updated_at=self._now())
            await delay_cancellation(self._replace(ready))
        except Exception as error:
            await delay_cancellation(Deferred.fromCoroutine(self._abandon(by, record, owned, error)))
            raise
        _log.info(
            "created session={session} image={image!r} container={container} by={by}",
            session=record.id,
            image=spec.image,
            container=container.id[:12],
            by=str(by),
        )
        return session_of(ready, container)

    async def _make(self, spec: ContainerSpec) -> Container:
        try:
            return await self._containers.create(spec)
        except SessionExists:
            # The row was just added, so a managed container is left over from an earlier session; others are kept.
            found = await self._container(spec.session_id)
            if found is not None and not found.managed:
                raise
            await self._containers.remove(spec.session_id)
            return await self._containers.create(spec)

    async def _abandon(self, by: Principal, record: SessionRecord, owned: bool, error: Exception) -> None:
        """Roll back a creation; reconciliation completes what fails now.

        The row is removed even when the engine is unavailable: reconciliation finds and removes a container without a
        row, and the id is free for a retry.

        :param owned: whether its row is known to have been added; after a lost connection it may have been.
        """
        if isinstance(error, Conflict) and not owned:
            return  # the store rejected the row: the id is taken, or the store is read-only
        level = LogLevel.warn if is_own_fault(error) and not isinstance(error, CancelledError) else LogLevel.info
        message = "create session={session} by={by} failed: {error!r}"
        _log.emit(level, message, session=record.id, by=str(by), error=error)
        if not owned and not await self._attempt(record.id, self._is_stored(record)):
            return
        if isinstance(error, EngineUnavailable):
            # The engine does not answer: a removal now would only wait for another timeout.
            self._unfinished()
        else:
            await self._attempt(record.id, self._containers.remove(record.id))
        await self._attempt(record.id, self._remove(record.id))

    async def _is_stored(self, record: SessionRecord) -> bool:
        # The row of another creation (the id was taken) differs at least in its creation time.
        found = await self._get(record.id)
        return found is not None and (found.user_id, found.created_at) == (record.user_id, record.created_at)

    async def _attempt(self, session_id: str, step: Awaitable[T]) -> T | None:
        try:
            return await step
        except SandboxError as error:
            _log.error(
                "create session={session} cannot be rolled back yet: {error}", session=session_id, error=error.message
            )
            return None

    # -- changing --------------------------------------------------------------------------------------------------

    def start(self, by: Principal, session_id: str) -> Deferred[Session]:
        """Start a session's container; no effect when it runs.

        :raises SessionNotFound: when there is no such session.
        :raises ContainerNotFound: when its container is gone.
        """
        return self._change(by, session_id, self._start)

    def stop(self, by: Principal, session_id: str) -> Deferred[Session]:
        """Stop a session's container; no effect when it does not run. The workspace is kept.

        :raises SessionNotFound: when there is no such session.
        :raises ContainerNotFound: when its container is gone.
        """
        return self._change(by, session_id, self._stop)

    def delete(self, by: Principal, session_id: str) -> Deferred[None]:
        """Delete a session, its container and its workspace. Idempotent.

        Cancelling does not interrupt a deletion that has begun.
        """

        async def run() -> None:
            checked_id(session_id)
            await self._locks.run(
                session_id, lambda: delay_cancellation(Deferred.fromCoroutine(self._delete_in_turn(by, session_id)))
            )

        return Deferred.fromCoroutine(run())

    def _change(
        self, by: Principal, session_id: str, change: Callable[[Principal, Container], Deferred[Container]]
    ) -> Deferred[Session]:
        async def in_turn() -> Session:
            record = await self._record(session_id)
            if record.phase is Phase.CREATING:
                raise Conflict(f"Session {session_id} is being created", code="SESSION_CREATING")
            before = await self._containers.find(session_id)
            container = await change(by, before)
            if (container.state, container.started_at) != (before.state, before.started_at):
                record = attrs.evolve(record, updated_at=self._now())
                await self._replace(record)
            return session_of(record, container)

        async def run() -> Session:
            checked_id(session_id)
            return await self._locks.run(session_id, lambda: delay_cancellation(Deferred.fromCoroutine(in_turn())))

        return Deferred.fromCoroutine(run())

    def _start(self, by: Principal, container: Container) -> Deferred[Container]:
        _log.info("start session={session} by={by}", session=container.session_id, by=str(by))
        return self._containers.start(container.id)

    def _stop(self, by: Principal, container: Container) -> Deferred[Container]:
        session_id = container.session_id
        _log.info("stop session={session} by={by}", session=session_id, by=str(by))
        self._events.publish(SessionStopping(session_id, by=by))

        def stopped(container: Container) -> Container:
            self._events.publish(SessionStopped(session_id, by=by))
            return container

        return self._containers.stop(container.id).addCallback(stopped)

    def _replace(self, record: SessionRecord) -> Deferred[None]:
        erases = record.phase is Phase.DELETING
        return self._store.transaction("replace", lambda tx: tx.sessions.replace(record), erases=erases)

    def _remove(self, session_id: str) -> Deferred[None]:
        return self._store.transaction("remove", lambda tx: tx.sessions.remove(session_id), erases=True)

    async def _delete_in_turn(self, by: Principal, session_id: str) -> None:
        record = await self._get(session_id)
        self._events.publish(SessionRemoving(session_id, by=by))
        if record is not None:
            # Recorded first, so that reconciliation completes an interrupted deletion. A full disk does not prevent the
            # deletion: the session may be what fills it.
            doomed = attrs.evolve(record, phase=Phase.DELETING, updated_at=self._now())
            if not await self._written(session_id, self._replace(doomed)):
                self._deletions.add(session_id)
        await self._containers.remove(session_id)
        if await self._written(session_id, self._remove(session_id)):
            self._deletions.discard(session_id)
        else:
            self._unfinished()
        self._events.publish(SessionRemoved(session_id, by=by))
        if record is not None:
            _log.info("deleted session={session} by={by}", session=session_id, by=str(by))

    async def _written(self, session_id: str, step: Awaitable[None]) -> bool:
        try:
            await step
        except StoreUnavailable as error:
            _log.error("delete session={session}: not written yet: {error}", session=session_id, error=error.message)
            return False
        return True
