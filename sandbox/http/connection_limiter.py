"""Bounds the connections that clients have open: when there is no room for another, the longest idle one goes."""

from __future__ import annotations

import math
from heapq import nsmallest
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from sandbox.http.interfaces import Peer
from sandbox.net import write_coalescing
from sandbox.policy.connections import ConnectionLimits, counted_as
from sandbox.protocols.http1.headers import TrustedProxies

# Idle connections that one search finds, and seconds until the next search where it found none: a search looks at every
# connection, and a flood of new ones must not make one search each.
_FOUND = 256
_PAUSE = 0.05


class Idling(Protocol):
    """Knows how long a connection has been idle; :class:`sandbox.http.timer.Timer` is one."""

    @property
    def idle_since(self) -> float | None:
        """The clock's time since when it waits for a request; ``None`` while it has one."""


class Limited(Peer, Protocol):
    """A client's connection."""

    transport: Any

    @property
    def timer(self) -> Idling: ...


class _Group:
    """Connections that have a limit together.

    :ivar members: all that are open.
    """

    __slots__ = ("_found", "_search_after", "members")

    def __init__(self) -> None:
        self.members: set[Limited] = set()
        # The longest idle one last. What became idle after the search is younger than each of them.
        self._found: list[tuple[float, Limited]] = []
        self._search_after = -math.inf

    def close_oldest(self, now: float) -> bool:
        """Close the connection that has been idle for longest; whether there was one."""
        if self._close_found():
            return True
        if now < self._search_after:
            return False
        idle = [(since, member) for member in self.members if (since := member.timer.idle_since) is not None]
        self._found = nsmallest(_FOUND, idle, key=_since)[::-1]
        if not idle:
            self._search_after = now + _PAUSE
        return self._close_found()

    def _close_found(self) -> bool:
        while self._found:
            since, member = self._found.pop()
            if member in self.members and member.timer.idle_since == since:
                # At once: many connections may be accepted in one turn, and each has a descriptor before the next turn.
                write_coalescing.close(member.transport)
                return True
        return False


def _since(found: tuple[float, Limited]) -> float:
    return found[0]


class ConnectionLimiter:
    """The connections of one site's clients. Those of this machine, and of trusted peers, only count in all.

    :param trusted: peers that many clients come by, so that these are not counted as one.
    :ivar refused: connections that were not accepted, since there was no idle one to close.
    :ivar closed: idle ones that were closed for others.
    """

    def __init__(self, clock: IReactorTime, limits: ConnectionLimits, trusted: TrustedProxies) -> None:
        self._clock = clock
        self._limits = limits
        self._trusted = trusted
        self._all = _Group()
        self._peers: dict[str, _Group] = {}
        self.refused = 0
        self.closed = 0

    def admit(self, address: str | None) -> bool:
        """Whether a connection from a peer may be opened; closes another one where that makes room for it."""
        peer = self._counted_as(address)
        own = self._peers.get(peer) if peer is not None else None
        if own is not None and len(own.members) >= self._limits.per_peer:
            admitted = self._close_oldest(own)
        elif len(self._all.members) >= self._limits.total:
            admitted = self._close_oldest(self._all)
        else:
            return True
        self.refused += not admitted
        return admitted

    def opened(self, connection: Limited) -> None:
        """It is open."""
        self._all.members.add(connection)
        peer = self._counted_as(connection.peer)
        if peer is not None:
            self._peers.setdefault(peer, _Group()).members.add(connection)

    def lost(self, connection: Limited) -> None:
        """It is gone."""
        self._all.members.discard(connection)
        peer = self._counted_as(connection.peer)
        if peer is not None and peer in self._peers:
            own = self._peers[peer]
            own.members.discard(connection)
            if not own.members:
                del self._peers[peer]

    def _close_oldest(self, group: _Group) -> bool:
        found = group.close_oldest(self._clock.seconds())
        self.closed += found
        return found

    def _counted_as(self, address: str | None) -> str | None:
        return None if address is None or self._trusted.trusts(address) else counted_as(address)
