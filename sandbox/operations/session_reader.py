"""Reading sessions: rows of the store, with their status by the engine (contract section 8)."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet.defer import Deferred

from sandbox.domain.errors import ContainerNotFound, ContainerUnresponsive, SessionNotFound
from sandbox.domain.model import ContainerSummary, Phase, Session, SessionRecord, SessionStatus
from sandbox.domain.principals import Principal
from sandbox.operations.deletions import PendingDeletions
from sandbox.policy.containers import choose
from sandbox.policy.cursors import DEFAULT_LIMIT, decode_cursor, encode_cursor
from sandbox.policy.sessions import checked_id, session_of
from sandbox.runtimes.interface import IContainers
from sandbox.stores.interface import IStore, Position

#: Maximum rows that one listing reads; when too few of them match, the page is shorter and its cursor continues.
_SCAN_LIMIT = 1000


class SessionReader:
    """Reads sessions; :class:`sandbox.operations.sessions.Sessions` changes them.

    The first parameter of every method is the caller.

    :param deletions: sessions that are deleted but still have a row.
    """

    def __init__(self, containers: IContainers, store: IStore, deletions: PendingDeletions) -> None:
        self._containers = containers
        self._store = store
        self._deletions = deletions

    def get(self, by: Principal, session_id: str) -> Deferred[Session]:
        """A session with its current status from the engine.

        :raises SessionNotFound: when there is none, or it is being deleted.
        """

        async def run() -> Session:
            return await self._view(await self._record(session_id))

        return Deferred.fromCoroutine(run())

    def list(
        self,
        by: Principal,
        user_id: str | None = None,
        status: SessionStatus | None = None,
        limit: int = DEFAULT_LIMIT,
        cursor: str | None = None,
    ) -> Deferred[tuple[Sequence[Session], str | None]]:
        """A page of sessions, newest first, and the cursor of the next page, ``None`` after the last.

        A page may be shorter than its limit, or empty, and still have a next one: the number of rows read per page is
        bounded, including those that the status filter excludes.

        :param limit: maximum sessions per page.
        :raises InvalidRequest: when no listing returned the cursor.
        """
        return Deferred.fromCoroutine(self._list(user_id, status, limit, cursor))

    async def _list(
        self, user_id: str | None, wanted: SessionStatus | None, size: int, cursor: str | None
    ) -> tuple[Sequence[Session], str | None]:
        after = Position(*decode_cursor(cursor)) if cursor is not None else None
        page: list[Session] = []
        scanned = 0
        while True:
            rows = await self._page(user_id, after, size + 1)
            for row in rows[:size]:
                after = Position(row.created_at, row.id)
                scanned += 1
                if row.phase is not Phase.DELETING and row.id not in self._deletions:
                    session = await self._view(row)
                    if wanted in (None, session.status):
                        page.append(session)
                if len(page) == size:
                    break
            if after is None or not rows or after == Position(rows[-1].created_at, rows[-1].id):
                return page, None
            if len(page) == size or scanned >= _SCAN_LIMIT:
                return page, encode_cursor(after.created_at, after.id)

    def _get(self, session_id: str) -> Deferred[SessionRecord | None]:
        return self._store.read("get", lambda tx: tx.sessions.get(session_id))

    def _page(self, user_id: str | None, after: Position | None, size: int) -> Deferred[Sequence[SessionRecord]]:
        return self._store.read("page", lambda tx: tx.sessions.page(user_id, after, size))

    async def _record(self, session_id: str) -> SessionRecord:
        checked_id(session_id)
        record = self._deletions.seen(await self._get(session_id))
        if record is None or record.phase is Phase.DELETING:
            raise SessionNotFound(session_id)
        return record

    async def _view(self, record: SessionRecord) -> Session:
        return session_of(record, None if record.phase is Phase.CREATING else await self._container(record.id))

    async def _container(self, session_id: str) -> ContainerSummary | None:
        try:
            return self._containers.cached(session_id) or await self._containers.find(session_id)
        except ContainerNotFound:
            return None
        except ContainerUnresponsive:
            # The engine does not answer for this container; its list, which takes no container's lock, is sufficient.
            return choose(one for one in await self._containers.list() if one.session_id == session_id)
