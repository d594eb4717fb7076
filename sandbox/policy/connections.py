"""How many connections clients may have open, and whose they are counted as."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

import attrs

#: Descriptors that are kept for everything but clients: applications, the engine, the store, the log.
RESERVED = 256


@attrs.frozen(kw_only=True)
class ConnectionLimits:
    """How many connections clients may have open.

    :ivar total: all of them together.
    :ivar per_peer: those of one peer that is a stranger.
    """

    total: int
    per_peer: int

    @classmethod
    def of(cls, total: int | None, per_peer: int | None, descriptors: int) -> ConnectionLimits:
        """The limits that are set, and the usual ones for those that are not.

        :param descriptors: how many the process may have open.

        >>> ConnectionLimits.of(None, None, 1024)
        ConnectionLimits(total=768, per_peer=192)
        >>> ConnectionLimits.of(None, None, 256), ConnectionLimits.of(10, 5, 1024)
        (ConnectionLimits(total=128, per_peer=32), ConnectionLimits(total=10, per_peer=5))
        """
        if descriptors < 0:  # RLIM_INFINITY
            descriptors = 1 << 20
        # Where there are few, half of them are for clients.
        total = total or max(descriptors - RESERVED, descriptors // 2, 1)
        return cls(total=total, per_peer=per_peer or max(1, total // 4))


@lru_cache(1024)
def counted_as(address: str) -> str | None:
    """What a peer's connections are counted as; ``None`` for those of this machine, which are not counted.

    One client has a whole network of IPv6 addresses (RFC 6177), and may take another one for each connection.

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
