"""Which upstream connection carries a request, and which are closed. Pure: connections are opaque here.

After httpcore's ``connection_pool.py``: the book decides and names what is to be closed; the I/O comes after.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

import attrs

C = TypeVar("C", bound=Hashable)


#: One port of one life of one container: its id, its start time, the port. Never an address, as another container may
#: get that.
Key = tuple[str, str, int]


@attrs.frozen(kw_only=True)
class PoolLimits:
    """How many connections there may be.

    :ivar open: to one session's container, busy and idle.
    :ivar idle: the same, idle only.
    :ivar idle_seconds: how long an idle one is kept; less than the 5 s after which common dev servers close theirs.
    """

    open: int = 256
    idle: int = 256
    idle_seconds: float = 4.0


@attrs.define
class _Entry:
    session_id: str
    key: Key
    # When it became idle; None while it is busy.
    since: float | None = None


@attrs.define
class _Session(Generic[C]):
    connections: set[C] = attrs.field(factory=set)
    # In the order in which they became idle.
    idle: dict[C, None] = attrs.field(factory=dict)


class PoolState(Generic[C]):
    """Every upstream connection there is, whose it is, and since when it is idle."""

    def __init__(self, limits: PoolLimits) -> None:
        self._limits = limits
        self._entries: dict[C, _Entry] = {}
        self._sessions: dict[str, _Session[C]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def idle_count(self) -> int:
        """Idle connections, of all sessions."""
        return sum(len(session.idle) for session in self._sessions.values())

    def open_count(self, session_id: str) -> int:
        """A session's connections, busy and idle."""
        session = self._sessions.get(session_id)
        return len(session.connections) if session else 0

    def take(self, session_id: str, key: Key, now: float) -> C | None:
        """The connection that became idle last, now busy; ``None`` when there is none that is young enough.

        The last one first: those that are not needed grow old together and are closed.
        """
        session = self._sessions.get(session_id)
        if session is None:
            return None
        for connection in reversed(session.idle):
            entry = self._entries[connection]
            if entry.since is None or now - entry.since >= self._limits.idle_seconds:
                return None
            if entry.key == key:
                entry.since = None
                del session.idle[connection]
                return connection
        return None

    def evict_for(self, session_id: str) -> tuple[bool, C | None]:
        """Whether the session may open another connection, and the idle one of its own to close for that."""
        session = self._sessions.get(session_id)
        if session is None or len(session.connections) < self._limits.open:
            return True, None
        oldest = next(iter(session.idle), None)
        return oldest is not None, oldest

    def add(self, connection: C, session_id: str, key: Key) -> None:
        """A new connection, busy; connecting counts."""
        self._entries[connection] = _Entry(session_id, key)
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = _Session()
        session.connections.add(connection)

    def release(self, connection: C, now: float) -> C | None:
        """It is idle now. The answer is what to close: the one that has been idle longest, when there are too many."""
        entry = self._entries.get(connection)
        if entry is None:
            return connection
        entry.since = now
        session = self._sessions[entry.session_id]
        session.idle[connection] = None
        return next(iter(session.idle)) if len(session.idle) > self._limits.idle else None

    def remove(self, connection: C) -> None:
        """It is closed, or will be in a moment; nothing happens when it is not in the book."""
        entry = self._entries.pop(connection, None)
        if entry is None:
            return
        session = self._sessions[entry.session_id]
        session.idle.pop(connection, None)
        session.connections.discard(connection)
        if not session.connections:
            del self._sessions[entry.session_id]

    def expired(self, now: float) -> list[C]:
        """The idle connections that are too old."""
        limit = now - self._limits.idle_seconds
        found: list[C] = []
        for session in self._sessions.values():
            for connection in session.idle:
                since = self._entries[connection].since
                if since is None or since > limit:
                    break
                found.append(connection)
        return found

    def of_session(self, session_id: str) -> list[C]:
        """A session's connections."""
        session = self._sessions.get(session_id)
        return list(session.connections) if session else []

    def all(self) -> list[C]:
        """Every connection."""
        return list(self._entries)
