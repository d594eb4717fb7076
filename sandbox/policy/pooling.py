"""Decisions of the upstream connection pool: which connection to use and which to close. Pure.

After httpcore's ``connection_pool.py``: the state decides and names what is to be closed; the I/O comes after.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

C = TypeVar("C", bound=Hashable)


#: The destination: container id, its start time, and port. Not the address, which the engine may assign to another
#: container.
Key = tuple[str, str, int]


@attrs.frozen(kw_only=True)
class PoolLimits:
    """Limits on connections.

    :ivar open: maximum per session, busy and idle. A client that has a quarter of them gets no more when only a quarter
        is left, so that it cannot lock out other clients.
    :ivar idle: maximum of idle connections per session.
    :ivar idle_seconds: idle timeout; less than the 5 s after which common dev servers close theirs.
    """

    open: int = 256
    idle: int = 256
    idle_seconds: float = 4.0

    @property
    def share(self) -> int:
        """The part of :attr:`open` that one client must leave to others."""
        return self.open // 4


@attrs.define
class _Entry:
    session_id: str
    key: Key
    # The client that uses it, while it is busy and the client is known.
    client: str | None
    # Whether it counts against the session's limit.
    counted: bool
    # When it became idle; None while it is busy.
    since: float | None = None


@attrs.define
class _Session(Generic[C]):
    connections: set[C] = attrs.field(factory=set)
    # Oldest first.
    idle: dict[C, None] = attrs.field(factory=dict)
    # Number of connections that are not counted, and number of busy ones per client.
    spare: int = 0
    clients: Counter[str] = attrs.field(factory=Counter)

    @property
    def counted(self) -> int:
        return len(self.connections) - self.spare

    def leave(self, entry: _Entry) -> None:
        """The entry's client no longer uses it."""
        if entry.client is not None:
            self.clients[entry.client] -= 1
            if not self.clients[entry.client]:
                del self.clients[entry.client]
            entry.client = None


class PoolState(Generic[C]):
    """Every upstream connection, its session and destination, its client, and since when it is idle."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._entries: dict[C, _Entry] = {}
        self._sessions: dict[str, _Session[C]] = {}

    @property
    def idle_count(self) -> int:
        """Number of idle connections of all sessions."""
        return sum(len(session.idle) for session in self._sessions.values())

    def take(self, session_id: str, key: Key, now: float, client: str | None = None) -> C | None:
        """Take the connection that became idle last; ``None`` when none is within the idle timeout.

        Last in, first out: surplus connections reach the idle timeout and are closed.

        :param client: the requesting client; ``None`` where clients cannot be told apart. A client that has its share
            gets none.
        """
        session = self._sessions.get(session_id)
        if session is None or not self._may_have(session, client):
            return None
        for connection in reversed(session.idle):
            entry = self._entries[connection]
            if entry.since is None or now - entry.since >= self._limits.idle_seconds:
                return None
            if entry.key == key:
                entry.since = None
                del session.idle[connection]
                self._lend(session, entry, client)
                return connection
        return None

    def _may_have(self, session: _Session[C], client: str | None) -> bool:
        share = self._limits.share
        if client is None or session.clients[client] < share:
            return True
        return self._limits.open - (session.counted - len(session.idle)) > share

    def _lend(self, session: _Session[C], entry: _Entry, client: str | None) -> None:
        entry.client = client
        if client is not None:
            session.clients[client] += 1

    def evict_for(self, session_id: str, client: str | None = None) -> tuple[bool, C | None]:
        """Whether the session may open another connection, and its idle connection to close first, if any.

        :param client: see :meth:`take`.
        """
        session = self._sessions.get(session_id)
        if session is None:
            return True, None
        if not self._may_have(session, client):
            return False, None
        if session.counted < self._limits.open:
            return True, None
        oldest = next(iter(session.idle), None)
        return oldest is not None, oldest

    def add(self, connection: C, session_id: str, key: Key, client: str | None = None, *, counted: bool = True) -> None:
        """Add a connection, busy from the connection attempt on.

        :param client: see :meth:`take`.
        :param counted: whether it counts against the session's limit.
        """
        entry = self._entries[connection] = _Entry(session_id, key, None, counted)
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = _Session()
        session.connections.add(connection)
        session.spare += not counted
        self._lend(session, entry, client)

    def release(self, connection: C, now: float) -> C | None:
        """Mark a connection as idle; returns the connection to close when there are too many idle ones."""
        entry = self._entries.get(connection)
        if entry is None:
            return connection
        entry.since = now
        session = self._sessions[entry.session_id]
        session.leave(entry)
        session.idle[connection] = None
        return next(iter(session.idle)) if len(session.idle) > self._limits.idle else None

    def remove(self, connection: C) -> None:
        """It is closed, or will be in a moment; nothing happens when it is not there."""
        entry = self._entries.pop(connection, None)
        if entry is None:
            return
        session = self._sessions[entry.session_id]
        session.leave(entry)
        session.idle.pop(connection, None)
        session.connections.discard(connection)
        session.spare -= not entry.counted
        if not session.connections:
            del self._sessions[entry.session_id]

    def of_session(self, session_id: str) -> list[C]:
        """A session's connections."""
        session = self._sessions.get(session_id)
        return list(session.connections) if session else []

    def all(self) -> list[C]:
        """Every connection."""
        return list(self._entries)
