"""Sessions in this process's memory: the twin of the real stores, for tests and for trying things out."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from sandbox.domain.errors import Overloaded, SessionExists, SessionNotFound
from sandbox.domain.model import Link, SessionRecord
from sandbox.net.instruments import PoolUsage
from sandbox.stores.interface import ISessionStore, Position
from sandbox.stores.rows import key, link_exists, link_row, not_open, session_row, utc

T = TypeVar("T")


class MemoryLinks:
    """Links by id. Also where a read-only PostgreSQL store keeps them.

    :param limit: how many are kept at most.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self._limit = limit
        self._links: dict[str, Link] = {}

    def add(self, link: Link) -> None:
        """Keep a link.

        :raises Conflict: when its id is taken.
        :raises Overloaded: when there are too many.
        """
        link = link_row(link)
        if link.id in self._links:
            raise link_exists()
        if len(self._links) >= self._limit:
            raise Overloaded("Too many preview links", code="TOO_MANY_LINKS")
        self._links[link.id] = link

    def get(self, link_id: str) -> Link | None:
        """The link, or ``None``."""
        return self._links.get(key(link_id, "linkId"))

    def remove(self, link_id: str) -> None:
        """Forget a link."""
        self._links.pop(key(link_id, "linkId"), None)

    def remove_of(self, session_id: str) -> None:
        """Forget a session's links."""
        self._links = {link.id: link for link in self._links.values() if link.session_id != session_id}

    def remove_expired(self, now: datetime) -> int:
        """Forget what ended at ``now`` or before, and say how many those were."""
        before, now = len(self._links), utc(now)
        self._links = {link.id: link for link in self._links.values() if link.expires_at > now}
        return before - len(self._links)


@implementer(ISessionStore)
class MemoryStore:
    """A store whose rows live as long as the object; it can be closed and opened again."""

    read_only = False

    def __init__(self) -> None:
        self._open = False
        self._instance = secrets.token_hex(6)
        self._sessions: dict[str, SessionRecord] = {}
        self._links = MemoryLinks()

    @property
    def workers(self) -> PoolUsage:
        return PoolUsage(0)

    def open(self) -> Deferred[None]:
        self._open = True
        return succeed(None)

    def acquire_lease(self) -> Deferred[None]:
        return self._call(lambda: None)

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)

    def ping(self) -> Deferred[None]:
        return self._call(lambda: None)

    def instance(self) -> Deferred[str]:
        return self._call(lambda: self._instance)

    def add(self, record: SessionRecord) -> Deferred[None]:
        return self._call(self._add, record)

    def get(self, session_id: str) -> Deferred[SessionRecord | None]:
        return self._call(lambda: self._sessions.get(key(session_id, "id")))

    def replace(self, record: SessionRecord) -> Deferred[None]:
        return self._call(self._replace, record)

    def remove(self, session_id: str) -> Deferred[None]:
        return self._call(self._remove, session_id)

    def page(self, user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:
        return self._call(self._page, user_id, after, limit)

    def owner(self, session_id: str) -> Deferred[str | None]:
        return self._call(self._owner, session_id)

    def add_link(self, link: Link) -> Deferred[None]:
        return self._call(self._links.add, link)

    def get_link(self, link_id: str) -> Deferred[Link | None]:
        return self._call(self._links.get, link_id)

    def remove_link(self, link_id: str) -> Deferred[None]:
        return self._call(self._links.remove, link_id)

    def remove_expired_links(self, now: datetime) -> Deferred[int]:
        return self._call(self._links.remove_expired, now)

    def _call(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        if not self._open:
            return fail(not_open())
        try:
            return succeed(work(*arguments))
        except Exception:
            return fail()

    def _add(self, record: SessionRecord) -> None:
        record = session_row(record)
        if record.id in self._sessions:
            raise SessionExists(record.id)
        self._sessions[record.id] = record
        self._links.remove_of(record.id)

    def _replace(self, record: SessionRecord) -> None:
        record = session_row(record)
        if record.id not in self._sessions:
            raise SessionNotFound(record.id)
        self._sessions[record.id] = record

    def _remove(self, session_id: str) -> None:
        self._sessions.pop(key(session_id, "id"), None)
        self._links.remove_of(session_id)

    def _page(self, user_id: str | None, after: Position | None, limit: int) -> list[SessionRecord]:
        if user_id is not None:
            key(user_id, "userId")
        rows = [row for row in self._sessions.values() if user_id in {None, row.user_id}]
        if after is not None:
            end = (utc(after.created_at), key(after.id, "cursor"))
            rows = [row for row in rows if (row.created_at, row.id) < end]
        return sorted(rows, key=lambda row: (row.created_at, row.id), reverse=True)[: max(limit, 0)]

    def _owner(self, session_id: str) -> str | None:
        row = self._sessions.get(key(session_id, "id"))
        return None if row is None else row.user_id
