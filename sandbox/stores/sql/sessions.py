"""Rows of sessions in SQL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from zope.interface import implementer

from sandbox.domain.errors import SessionExists, SessionNotFound
from sandbox.domain.model import Phase, SessionRecord
from sandbox.stores.interface import ISessions, Position
from sandbox.stores.rows import key, session_row
from sandbox.stores.sql.dialect import Connection

_COLUMNS = "id, user_id, image, phase, created_at, updated_at, container_id"
_SELECT = f"SELECT {_COLUMNS} FROM sessions"  # noqa: S608 - constants only
_INSERT = f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"  # noqa: S608
_UPDATE = f"UPDATE sessions SET ({_COLUMNS}) = (?, ?, ?, ?, ?, ?, ?) WHERE id = ?"  # noqa: S608
_DELETE_LINKS = "DELETE FROM sandbox_links WHERE session_id = ?"


@implementer(ISessions)
@attrs.frozen
class SqlSessions:
    """Implements ``ISessions``."""

    _connection: Connection

    async def add(self, record: SessionRecord) -> None:
        if not await self._connection.execute(_INSERT, self._values(record)):
            raise SessionExists(record.id)
        await self._connection.execute(_DELETE_LINKS, (record.id,))

    async def get(self, session_id: str) -> SessionRecord | None:
        rows = await self._connection.query(_SELECT + " WHERE id = ?", (key(session_id, "id"),))
        return self._record(rows[0]) if rows else None

    async def replace(self, record: SessionRecord) -> None:
        if not await self._connection.execute(_UPDATE, (*self._values(record), record.id)):
            raise SessionNotFound(record.id)

    async def remove(self, session_id: str) -> None:
        await self._connection.execute("DELETE FROM sessions WHERE id = ?", (key(session_id, "id"),))
        await self._connection.execute(_DELETE_LINKS, (session_id,))

    async def page(self, user_id: str | None, after: Position | None, limit: int) -> Sequence[SessionRecord]:
        conditions: list[str] = []
        values: list[object] = []
        if user_id is not None:
            conditions.append("user_id = ?")
            values.append(key(user_id, "userId"))
        if after is not None:
            conditions.append("(created_at, id) < (?, ?)")
            values += [self._connection.dialect.encode(after.created_at), key(after.id, "cursor")]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        statement = f"{_SELECT}{where} ORDER BY created_at DESC, id DESC LIMIT ?"
        return [self._record(row) for row in await self._connection.query(statement, (*values, max(limit, 0)))]

    async def owner(self, session_id: str) -> str | None:
        rows = await self._connection.query("SELECT user_id FROM sessions WHERE id = ?", (key(session_id, "id"),))
        return str(rows[0][0]) if rows else None

    def _values(self, record: SessionRecord) -> tuple[object, ...]:
        row, encode = session_row(record), self._connection.dialect.encode
        times = (encode(row.created_at), encode(row.updated_at))
        return (row.id, row.user_id, row.image, row.phase.value, *times, row.container_id)

    def _record(self, row: Sequence[Any]) -> SessionRecord:
        decode = self._connection.dialect.decode
        return SessionRecord(
            id=row[0],
            user_id=row[1],
            image=row[2],
            phase=Phase(row[3]),
            created_at=decode(row[4]),
            updated_at=decode(row[5]),
            container_id=row[6],
        )
