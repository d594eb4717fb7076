"""A platform's own ``sessions(id, user_id, …)`` table in PostgreSQL, of which we only read who owns what."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, execute, fail
from zope.interface import implementer

from sandbox.domain.errors import SessionsReadOnly
from sandbox.domain.model import Link, SessionRecord
from sandbox.net.instruments import PoolUsage
from sandbox.settings import SettingError
from sandbox.stores.postgres.connection import Connection
from sandbox.stores.postgres.connections import Connections
from sandbox.stores.interface import ISessionStore, Position
from sandbox.stores.memory.store import MemoryLinks
from sandbox.stores.rows import key, not_open

T = TypeVar("T")

_COLUMNS = """
SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass('sessions') AND attname IN ('id', 'user_id') AND NOT attisdropped
"""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_ANY = re.compile(r".*", re.DOTALL)

_SELECT = "SELECT DISTINCT user_id::text FROM sessions WHERE "
#: By the type of ``id``: which session ids can be among its values, and a condition that its index serves. An id is
#: compared as text, so what is not written as the database writes it (a UUID in capitals, 007) is no id of the table.
_LOOKUPS = {
    "uuid": (_UUID, _SELECT + "id = %s::uuid"),
    "smallint": (_INTEGER, _SELECT + "id = %s::bigint"),
    "integer": (_INTEGER, _SELECT + "id = %s::bigint"),
    "bigint": (_INTEGER, _SELECT + "id = %s::bigint"),
    "text": (_ANY, _SELECT + "id = %s"),
    "character varying": (_ANY, _SELECT + "id = %s"),
}
_OTHER = (_ANY, _SELECT + "id::text = %s")


@implementer(ISessionStore)
class PlatformStore:
    """A store that only answers who owns a session (contract section 6); nothing is ever written.

    The server is asked to refuse writes on its connections, and there is no schema of ours to create. Links are kept in
    memory, and so end with the daemon. The instance's name is derived from the database's address.

    :param url: ``postgresql://…``; ``sessions`` is looked up along its ``search_path``, and may be a view.
    :param size: connections at once.
    :param queue: calls that may wait for a connection before more are refused.
    :param timeout: seconds that a call may take.
    :raises SettingError: when the URL cannot be parsed.
    """

    read_only = True

    def __init__(self, reactor: Any, url: str, *, size: int = 4, queue: int = 512, timeout: float = 5.0) -> None:
        self._connections = Connections(
            reactor, url, self._look, size=size, queue=queue, timeout=timeout, read_only=True
        )
        self._lookup = _OTHER
        self._links = MemoryLinks()
        self._open = False

    @property
    def workers(self) -> PoolUsage:
        return self._connections.workers

    def open(self) -> Deferred[None]:
        self._open = True
        return self._connections.open()

    def acquire_lease(self) -> Deferred[None]:
        return self._here(lambda: None)

    def close(self) -> Deferred[None]:
        self._open = False
        return Deferred.fromCoroutine(self._connections.close())

    def ping(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._ping())

    def instance(self) -> Deferred[str]:
        return self._here(lambda: self._connections.fingerprint)

    def add(self, record: SessionRecord) -> Deferred[None]:
        return self._here(_refuse)

    def get(self, session_id: str) -> Deferred[SessionRecord | None]:
        return self._here(_refuse)

    def replace(self, record: SessionRecord) -> Deferred[None]:
        return self._here(_refuse)

    def remove(self, session_id: str) -> Deferred[None]:
        return self._here(_refuse)

    def page(self, user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:
        return self._here(_refuse)

    def owner(self, session_id: str) -> Deferred[str | None]:
        return Deferred.fromCoroutine(self._owner(session_id))

    def add_link(self, link: Link) -> Deferred[None]:
        return self._here(self._links.add, link)

    def get_link(self, link_id: str) -> Deferred[Link | None]:
        return self._here(self._links.get, link_id)

    def remove_link(self, link_id: str) -> Deferred[None]:
        return self._here(self._links.remove, link_id)

    def remove_expired_links(self, now: datetime) -> Deferred[int]:
        return self._here(self._links.remove_expired, now)

    def _here(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        return execute(work, *arguments) if self._open else fail(not_open())

    async def _look(self, connection: Connection) -> None:
        types = dict(await connection.runQuery(_COLUMNS))
        if types.keys() != {"id", "user_id"}:
            raise SettingError(
                "SESSIONS_READ_ONLY needs a table or view sessions(id, user_id) in the database of DATABASE_URL"
            )
        self._lookup = _LOOKUPS.get(types["id"], _OTHER)
        await connection.runQuery("SELECT id, user_id FROM sessions LIMIT 0")  # are we allowed to?

    async def _ping(self) -> None:
        await self._connections.query("SELECT 1")

    async def _owner(self, session_id: str) -> str | None:
        key(session_id, "id")
        # The database was away at the start: the type of its ids is known after a connection.
        if not self._connections.prepared:
            await self._ping()
        pattern, sql = self._lookup
        if not pattern.fullmatch(session_id):
            return None
        owners = await self._connections.query(sql, (session_id,))
        # A table whose ids are not unique does not say who owns them.
        return owners[0][0] if len(owners) == 1 else None


def _refuse() -> Any:
    raise SessionsReadOnly
