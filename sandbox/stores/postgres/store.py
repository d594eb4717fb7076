"""Sessions in a PostgreSQL database of ours (13 or newer), through txpostgres, which takes no thread."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sandbox.domain.errors import SessionExists, SessionNotFound
from sandbox.domain.model import Link, Phase, SessionRecord
from sandbox.net.instruments import PoolUsage
from sandbox.settings import SettingError
from sandbox.stores.postgres.connection import Connection
from sandbox.stores.postgres.connections import Connections
from sandbox.stores.interface import ISessionStore, Position
from sandbox.stores.migrations import migrations, pending
from sandbox.stores.rows import key, link_exists, link_row, session_row, utc

#: The advisory lock under which the schema changes: the bytes of "sandbox", a number that nobody else will pick.
MIGRATION_LOCK = int.from_bytes(b"sandbox", "big")

#: Locks the installation for as long as its connection lasts; a server that does not hear from a machine that died
#: would think for hours that it does.
_CLAIM = """
SELECT pg_try_advisory_lock(('x' || name)::bit(48)::bigint), set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)
FROM sandbox_instance
"""
_SELECT = "SELECT id, user_id, image, phase, created_at, updated_at, container_id FROM sessions"
_INSERT = """
WITH added AS (
    INSERT INTO sessions (id, user_id, image, phase, created_at, updated_at, container_id)
    VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING id
), swept AS (
    DELETE FROM sandbox_links WHERE session_id IN (SELECT id FROM added)
)
SELECT id FROM added
"""
_UPDATE = """
UPDATE sessions SET (id, user_id, image, phase, created_at, updated_at, container_id) = (%s, %s, %s, %s, %s, %s, %s)
WHERE id = %s RETURNING id
"""
_DELETE = """
WITH swept AS (DELETE FROM sandbox_links WHERE session_id = %(id)s)
DELETE FROM sessions WHERE id = %(id)s RETURNING id
"""
_INSERT_LINK = """
INSERT INTO sandbox_links (id, session_id, user_id, expires_at) VALUES (%s, %s, %s, %s)
ON CONFLICT DO NOTHING RETURNING id
"""
_SWEEP = """
WITH swept AS (DELETE FROM sandbox_links WHERE expires_at <= %s RETURNING id) SELECT count(*) FROM swept
"""


@implementer(ISessionStore)
class PostgresStore:
    """A store in a database that is ours, at least in the schema that the URL's ``search_path`` begins with.

    Each call is one statement, and so one transaction. Commits are as durable as the server's
    ``synchronous_commit`` says. It reads the migration files when it is made: make it before the reactor runs.

    :param url: ``postgresql://…``
    :param size: connections at once.
    :param queue: calls that may wait for a connection before more are refused.
    :param timeout: seconds that a call may take.
    :raises SettingError: when the URL cannot be parsed.
    """

    read_only = False

    def __init__(self, reactor: Any, url: str, *, size: int = 4, queue: int = 512, timeout: float = 5.0) -> None:
        self._migrations = migrations("postgres")
        self._connections = Connections(reactor, url, self._migrate, size=size, queue=queue, timeout=timeout)

    @property
    def workers(self) -> PoolUsage:
        return self._connections.workers

    def open(self) -> Deferred[None]:
        return self._connections.open()

    def acquire_lease(self) -> Deferred[None]:
        return self._connections.acquire_lease(_CLAIM)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._connections.close())

    def ping(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._ping())

    def instance(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self._instance())

    def add(self, record: SessionRecord) -> Deferred[None]:
        return Deferred.fromCoroutine(self._add(record))

    def get(self, session_id: str) -> Deferred[SessionRecord | None]:
        return Deferred.fromCoroutine(self._get(session_id))

    def replace(self, record: SessionRecord) -> Deferred[None]:
        return Deferred.fromCoroutine(self._replace(record))

    def remove(self, session_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove(session_id))

    def page(self, user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:
        return Deferred.fromCoroutine(self._page(user_id, after, limit))

    def owner(self, session_id: str) -> Deferred[str | None]:
        return Deferred.fromCoroutine(self._owner(session_id))

    def add_link(self, link: Link) -> Deferred[None]:
        return Deferred.fromCoroutine(self._add_link(link))

    def get_link(self, link_id: str) -> Deferred[Link | None]:
        return Deferred.fromCoroutine(self._get_link(link_id))

    def remove_link(self, link_id: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self._remove_link(link_id))

    def remove_expired_links(self, now: datetime) -> Deferred[int]:
        return Deferred.fromCoroutine(self._remove_expired_links(now))

    async def _migrate(self, connection: Connection) -> None:
        # On any failure the connection is closed, and the server rolls back.
        # In the isolation that this needs, whatever the server's is: what came while the lock was waited for is seen.
        await connection.runOperation("BEGIN ISOLATION LEVEL READ COMMITTED")
        await connection.runOperation("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        ((encoding, ours, sessions),) = await connection.runQuery(
            "SELECT current_setting('server_encoding'), to_regclass('sandbox_schema'), to_regclass('sessions')"
        )
        if encoding != "UTF8":
            raise SettingError(f"DATABASE_URL names a database of encoding {encoding}: make one with UTF8")
        version = None
        if ours is not None:
            ((version,),) = await connection.runQuery("SELECT max(version) FROM sandbox_schema")
        steps = pending(self._migrations, version, sessions is not None)
        if version is None:
            await connection.runOperation(
                "CREATE TABLE sandbox_schema (version integer NOT NULL PRIMARY KEY, name text NOT NULL)"
            )
        for step in steps:
            await connection.runOperation(step.sql)
            await connection.runOperation(
                "INSERT INTO sandbox_schema (version, name) VALUES (%s, %s)", (step.version, step.name)
            )
        await connection.runOperation("COMMIT")

    async def _ping(self) -> None:
        await self._connections.query("SELECT name FROM sandbox_instance")

    async def _instance(self) -> str:
        ((name,),) = await self._connections.query("SELECT name FROM sandbox_instance")
        return str(name)

    async def _add(self, record: SessionRecord) -> None:
        if not await self._connections.query(_INSERT, _values(record)):
            raise SessionExists(record.id)

    async def _get(self, session_id: str) -> SessionRecord | None:
        rows = await self._connections.query(_SELECT + " WHERE id = %s", (key(session_id, "id"),))
        return _record(rows[0]) if rows else None

    async def _replace(self, record: SessionRecord) -> None:
        if not await self._connections.query(_UPDATE, (*_values(record), record.id)):
            raise SessionNotFound(record.id)

    async def _remove(self, session_id: str) -> None:
        await self._connections.query(_DELETE, {"id": key(session_id, "id")})

    async def _page(self, user_id: str | None, after: Position | None, limit: int) -> Sequence[SessionRecord]:
        sql = _SELECT + " WHERE true"
        values: list[object] = []
        if user_id is not None:
            sql += " AND user_id = %s"
            values += [key(user_id, "userId")]
        if after is not None:
            sql += " AND (created_at, id) < (%s, %s)"
            values += [utc(after.created_at), key(after.id, "cursor")]
        sql += " ORDER BY created_at DESC, id DESC LIMIT %s"
        return [_record(row) for row in await self._connections.query(sql, (*values, max(limit, 0)))]

    async def _owner(self, session_id: str) -> str | None:
        rows = await self._connections.query("SELECT user_id FROM sessions WHERE id = %s", (key(session_id, "id"),))
        return str(rows[0][0]) if rows else None

    async def _add_link(self, link: Link) -> None:
        link = link_row(link)
        values = (link.id, link.session_id, link.user_id, link.expires_at)
        if not await self._connections.query(_INSERT_LINK, values):
            raise link_exists()

    async def _get_link(self, link_id: str) -> Link | None:
        rows = await self._connections.query(
            "SELECT id, session_id, user_id, expires_at FROM sandbox_links WHERE id = %s", (key(link_id, "linkId"),)
        )
        for row in rows:
            return Link(id=row[0], session_id=row[1], user_id=row[2], expires_at=row[3].astimezone(UTC))
        return None

    async def _remove_link(self, link_id: str) -> None:
        await self._connections.query("DELETE FROM sandbox_links WHERE id = %s RETURNING id", (key(link_id, "linkId"),))

    async def _remove_expired_links(self, now: datetime) -> int:
        ((count,),) = await self._connections.query(_SWEEP, (utc(now),))
        return int(count)


def _values(record: SessionRecord) -> tuple[object, ...]:
    row = session_row(record)
    return (row.id, row.user_id, row.image, row.phase.value, row.created_at, row.updated_at, row.container_id)


def _record(row: Sequence[Any]) -> SessionRecord:
    return SessionRecord(
        id=row[0],
        user_id=row[1],
        image=row[2],
        phase=Phase(row[3]),
        created_at=row[4].astimezone(UTC),
        updated_at=row[5].astimezone(UTC),
        container_id=row[6],
    )
