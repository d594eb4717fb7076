"""Limits the clients' open connections: at the limit, a new one evicts the longest idle one."""

from __future__ import annotations

import math
from heapq import nsmallest
from typing import Any, Protocol

from twisted.internet.interfaces import IReactorTime

from sandbox.http.interfaces import Peer
from sandbox.net import write_coalescing
from sandbox.policy.connections import ConnectionLimits, counted_as
from sandbox.protocols.http1.headers import TrustedProxies

# Idle connections collected by one search, and seconds until the next search after one that found none: a search scans
# every connection, and a flood of new ones must not cause a search each.
_FOUND = 256
_PAUSE = 0.05


class Idling(Protocol):
    """Measures how long a connection has been idle, such as :class:`sandbox.http.timer.Timer`."""

    @property
    def idle_since(self) -> float | None:
        """Time since which it has been waiting for a request; ``None`` while it has one."""


class Limited(Peer, Protocol):
    """A client's connection."""

    transport: Any

    @property
    def timer(self) -> Idling: ...


class _Group:
    """Connections that share a limit.

    :ivar members: all open connections.
    """

    __slots__ = ("_found", "_search_after", "members")

    def __init__(self) -> None:
        self.members: set[Limited] = set()
        # Sorted, the longest idle one last. Connections that became idle after the search are younger than these.
        self._found: list[tuple[float, Limited]] = []
        self._search_after = -math.inf

    def close_oldest(self, now: float) -> bool:
        """Close the longest idle connection; return whether there was one."""
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
                # Free the descriptor now: one turn may accept many connections, each of which needs a descriptor.
                write_coalescing.close(member.transport)
                return True
        return False


def _since(found: tuple[float, Limited]) -> float:
    return found[0]


class ConnectionLimiter:
    """Limits the connections of one site: in total, and per client address.

    Connections from this machine and from trusted peers count only towards the total.

    :param trusted: peers that forward for many clients, and so are exempt from the limit per address.
    :ivar refused: connections refused because none was idle.
    :ivar closed: idle connections evicted.
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
        """Whether to accept a connection from a peer; evicts an idle one where necessary."""
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
        """Count an opened connection."""
        self._all.members.add(connection)
        peer = self._counted_as(connection.peer)
        if peer is not None:
            self._peers.setdefault(peer, _Group()).members.add(connection)

    def lost(self, connection: Limited) -> None:
        """Remove a lost connection."""
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
