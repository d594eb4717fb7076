"""Read-only store on a platform's own ``sessions(id, user_id, …)`` table in PostgreSQL, for owners of sessions."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, execute, fail
from zope.interface import implementer

from sandbox.domain.errors import SessionsReadOnly
from sandbox.domain.model import SessionRecord
from sandbox.net.instruments import PoolUsage
from sandbox.settings import SettingError
from sandbox.stores.interface import ISessions, IStore, Position, Transaction, Work
from sandbox.stores.memory.links import MemoryLinks
from sandbox.stores.postgres.connection import Connection
from sandbox.stores.postgres.connections import Connections
from sandbox.stores.rows import key, not_open
from sandbox.stores.sql.transactions import committed

T = TypeVar("T")

_COLUMNS = """
SELECT attname::text, format_type(atttypid, NULL) FROM pg_attribute
WHERE attrelid = to_regclass('sessions') AND attname IN ('id', 'user_id') AND NOT attisdropped
"""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_ANY = re.compile(r".*", re.DOTALL)

_SELECT = "SELECT DISTINCT user_id::text FROM sessions WHERE "
#: By type of ``id``: a pattern of valid session ids, and a query that can use the index. Ids compare as text: an id not
#: in the database's own notation (a UUID in capitals, 007) matches no row.
_LOOKUPS = {
    "uuid": (_UUID, _SELECT + "id = ?::uuid"),
    "smallint": (_INTEGER, _SELECT + "id = ?::bigint"),
    "integer": (_INTEGER, _SELECT + "id = ?::bigint"),
    "bigint": (_INTEGER, _SELECT + "id = ?::bigint"),
    "text": (_ANY, _SELECT + "id = ?"),
    "character varying": (_ANY, _SELECT + "id = ?"),
}
_OTHER = (_ANY, _SELECT + "id::text = ?")


@implementer(ISessions)
@attrs.frozen
class PlatformSessions:
    """Implements ``ISessions`` on another program's rows: only the owner can be read.

    :param find_owner: queries the database.
    """

    find_owner: Callable[[str], Awaitable[str | None]]

    async def add(self, record: SessionRecord) -> None:
        raise SessionsReadOnly

    async def get(self, session_id: str) -> SessionRecord | None:
        raise SessionsReadOnly

    async def replace(self, record: SessionRecord) -> None:
        raise SessionsReadOnly

    async def remove(self, session_id: str) -> None:
        raise SessionsReadOnly

    async def page(self, user_id: str | None, after: Position | None, limit: int) -> Sequence[SessionRecord]:
        raise SessionsReadOnly

    async def owner(self, session_id: str) -> str | None:
        return await self.find_owner(session_id)


@implementer(IStore)
class PlatformStore:
    """A store that only looks up owners of sessions (contract section 6), and never writes.

    Its connections are read-only on the server, and it creates no schema. Links are kept in memory and are lost when
    the daemon ends. The instance's name is derived from the database's address.

    :param url: ``postgresql://…``; ``sessions`` is looked up along its ``search_path``, and may be a view.
    :param size: maximum number of connections.
    :param queue: maximum of calls waiting for a connection; further ones are refused.
    :param timeout: timeout of a call in seconds.
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

    def transaction(self, name: str, work: Work[T], *, erases: bool = False) -> Deferred[T]:
        return self.read(name, work)

    def read(self, name: str, work: Work[T]) -> Deferred[T]:
        return Deferred.fromCoroutine(self._run(work)) if self._open else fail(not_open())

    async def _run(self, work: Work[T]) -> T:
        transaction = Transaction(sessions=PlatformSessions(self._owner), links=self._links)
        result = await work(transaction)
        committed(transaction)
        return result

    def _here(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        return execute(work, *arguments) if self._open else fail(not_open())

    async def _look(self, connection: Connection) -> None:
        types = dict(await connection.runQuery(_COLUMNS))
        if types.keys() != {"id", "user_id"}:
            raise SettingError(
                "SESSIONS_READ_ONLY needs a table or view sessions(id, user_id) in the database of DATABASE_URL"
            )
        self._lookup = _LOOKUPS.get(types["id"], _OTHER)
        await connection.runQuery("SELECT id, user_id FROM sessions LIMIT 0")  # check the privileges

    async def _ping(self) -> None:
        await self._connections.run(lambda connection: connection.query("SELECT 1"))

    async def _owner(self, session_id: str) -> str | None:
        key(session_id, "id")
        # The database was unavailable at the start: the type of its ids is known after the first connection.
        if not self._connections.prepared:
            await self._ping()
        pattern, sql = self._lookup
        if not pattern.fullmatch(session_id):
            return None
        owners = await self._connections.run(lambda connection: connection.query(sql, (session_id,)))
        # Ids need not be unique: an id with several owners has none.
        return owners[0][0] if len(owners) == 1 else None
