"""Limits on client connections, and the key by which a peer's connections are counted."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

import attrs

#: File descriptors reserved for applications, the engine, the store and the log.
RESERVED = 256


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """Limits on open client connections.

    :ivar total: of all peers together.
    :ivar per_peer: of one peer that is neither local nor a trusted proxy.
    """

    total: int
    per_peer: int

    @classmethod
    def of(cls, total: int | None, per_peer: int | None, descriptors: int) -> ConnectionLimits:
        """The configured limits, with defaults for those that are not set.

        :param descriptors: the process's limit on file descriptors.

        >>> ConnectionLimits.of(None, None, 1024)
        ConnectionLimits(total=768, per_peer=192)
        >>> ConnectionLimits.of(None, None, 256), ConnectionLimits.of(10, 5, 1024)
        (ConnectionLimits(total=128, per_peer=32), ConnectionLimits(total=10, per_peer=5))
        """
        if descriptors < 0:  # RLIM_INFINITY
            descriptors = 1 << 20
        # With a low descriptor limit, clients get half of it.
        total = total or max(descriptors - RESERVED, descriptors // 2, 1)
        return cls(total=total, per_peer=per_peer or max(1, total // 4))


@lru_cache(1024)
def counted_as(address: str) -> str | None:
    """The key by which a peer's connections are counted; ``None`` for local peers, which are not counted.

    IPv6 addresses are counted by their /64: one client has the whole network (RFC 6177) and may use another address for
    each connection.

    >>> counted_as("192.0.2.1"), counted_as("2001:db8::1"), counted_as("::ffff:192.0.2.1")
    ('192.0.2.1', '2001:db8::/64', '192.0.2.1')
    >>> counted_as("127.0.0.2"), counted_as("::1"), counted_as("")
    (None, None, None)
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    found = getattr(parsed, "ipv4_mapped", None) or parsed
    if found.is_loopback:
        return None
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))
