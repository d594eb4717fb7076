"""Preview links in memory, also used by a store whose database is read-only."""

from __future__ import annotations

from datetime import datetime

from zope.interface import implementer

from sandbox.domain.errors import Overloaded
from sandbox.domain.model import Link
from sandbox.stores.interface import ILinks
from sandbox.stores.rows import key, link_exists, link_row, utc


@implementer(ILinks)
class MemoryLinks:
    """Implements ``ILinks``.

    :param limit: maximum number of links; beyond it ``add`` raises ``Overloaded``.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self.rows: dict[str, Link] = {}

    async def add(self, link: Link) -> None:
        link = link_row(link)
        if link.id in self.rows:
            raise link_exists()
        if len(self.rows) >= self._limit:
            raise Overloaded("Too many preview links", code="TOO_MANY_LINKS")
        self.rows[link.id] = link

    async def get(self, link_id: str) -> Link | None:
        return self.rows.get(key(link_id, "linkId"))

    async def remove(self, link_id: str) -> None:
        self.rows.pop(key(link_id, "linkId"), None)

    def remove_of(self, session_id: str) -> None:
        """Delete a session's links."""
        self.rows = {link.id: link for link in self.rows.values() if link.session_id != session_id}

    async def remove_expired(self, now: datetime) -> int:
        before, now = len(self.rows), utc(now)
        self.rows = {link.id: link for link in self.rows.values() if link.expires_at > now}
        return before - len(self.rows)
