"""Rows of sessions in memory."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from zope.interface import implementer

from sandbox.domain.errors import SessionExists, SessionNotFound
from sandbox.domain.model import SessionRecord
from sandbox.stores.interface import ISessions, Position
from sandbox.stores.memory.links import MemoryLinks
from sandbox.stores.rows import key, session_row, utc


@implementer(ISessions)
@attrs.define
class MemorySessions:
    """Implements ``ISessions``.

    :param links: links, deleted with their session.
    """

    links: MemoryLinks
    rows: dict[str, SessionRecord] = attrs.field(factory=dict)

    async def add(self, record: SessionRecord) -> None:
        record = session_row(record)
        if record.id in self.rows:
            raise SessionExists(record.id)
        self.rows[record.id] = record
        self.links.remove_of(record.id)

    async def get(self, session_id: str) -> SessionRecord | None:
        return self.rows.get(key(session_id, "id"))

    async def replace(self, record: SessionRecord) -> None:
        record = session_row(record)
        if record.id not in self.rows:
            raise SessionNotFound(record.id)
        self.rows[record.id] = record

    async def remove(self, session_id: str) -> None:
        self.rows.pop(key(session_id, "id"), None)
        self.links.remove_of(session_id)

    async def page(self, user_id: str | None, after: Position | None, limit: int) -> Sequence[SessionRecord]:
        if user_id is not None:
            key(user_id, "userId")
        rows = [row for row in self.rows.values() if user_id in {None, row.user_id}]
        if after is not None:
            end = (utc(after.created_at), key(after.id, "cursor"))
            rows = [row for row in rows if (row.created_at, row.id) < end]
        return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)[: max(limit, 0)]

    async def owner(self, session_id: str) -> str | None:
        row = self.rows.get(key(session_id, "id"))
        return None if row is None else row.user_id
