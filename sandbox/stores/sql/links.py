"""Preview links in SQL."""

from __future__ import annotations

from datetime import datetime

import attrs
from zope.interface import implementer

from sandbox.domain.model import Link
from sandbox.stores.interface import ILinks
from sandbox.stores.rows import key, link_exists, link_row
from sandbox.stores.sql.dialect import Connection

_INSERT = "INSERT INTO sandbox_links (id, session_id, user_id, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING"
_SELECT = "SELECT id, session_id, user_id, expires_at FROM sandbox_links WHERE id = ?"


@implementer(ILinks)
@attrs.frozen
class SqlLinks:
    """Implements ``ILinks``."""

    _connection: Connection

    async def add(self, link: Link) -> None:
        link = link_row(link)
        values = (link.id, link.session_id, link.user_id, self._connection.dialect.encode(link.expires_at))
        if not await self._connection.execute(_INSERT, values):
            raise link_exists()

    async def get(self, link_id: str) -> Link | None:
        for row in await self._connection.query(_SELECT, (key(link_id, "linkId"),)):
            expires_at = self._connection.dialect.decode(row[3])
            return Link(id=row[0], session_id=row[1], user_id=row[2], expires_at=expires_at)
        return None

    async def remove(self, link_id: str) -> None:
        await self._connection.execute("DELETE FROM sandbox_links WHERE id = ?", (key(link_id, "linkId"),))

    async def remove_expired(self, now: datetime) -> int:
        moment = self._connection.dialect.encode(now)
        return await self._connection.execute("DELETE FROM sandbox_links WHERE expires_at <= ?", (moment,))
