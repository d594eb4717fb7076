"""Identifies the client of a request, for limits per client. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from sandbox.protocols.http1.grammar import REMEMBERED, memorable, read_section
from sandbox.protocols.http1.headers import TrustedProxies


def client_of(section: bytes, peer: str | None, trusted: TrustedProxies) -> str | None:
    """The client's address; of an IPv6 address its /64 network, which is assigned to one client as a whole.

    Behind trusted proxies it is the last address of ``X-Forwarded-For`` that is not a trusted proxy. ``None`` when the
    client cannot be identified: behind a trusted proxy without that field, on loopback, or on a UNIX socket.

    :param section: see :class:`sandbox.protocols.http1.grammar.RequestHead`.
    :param peer: the address of the connection's other end; ``None`` on a UNIX socket.

    >>> proxies = TrustedProxies(["10.0.0.0/8"])
    >>> client_of(b"X-Forwarded-For: 192.0.2.1, 198.51.100.7, 10.0.0.2\\r\\n\\r\\n", "10.0.0.1", proxies)
    '198.51.100.7'
    >>> client_of(b"X-Forwarded-For: 192.0.2.1\\r\\n\\r\\n", "2001:db8::1", proxies)
    '2001:db8::'
    >>> client_of(b"\\r\\n", "127.0.0.1", proxies) is None
    True
    """
    if not trusted.trusts(peer):
        return None if peer is None else _client(peer)
    return (_remembered if memorable(section) else _forwarded)(section, trusted)


def _forwarded(section: bytes, trusted: TrustedProxies) -> str | None:
    said = b",".join(field[1] for field in read_section(section)[0] if field.lower == b"x-forwarded-for")
    for word in reversed(said.decode("latin-1").split(",")):
        address = word.strip()
        if address and not trusted.trusts(address):
            return _client(address)
    return None


_remembered = lru_cache(REMEMBERED)(_forwarded)


@lru_cache(1024)
def _client(address: str) -> str | None:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    found = getattr(found, "ipv4_mapped", None) or found
    if found.is_loopback:
        return None
    if found.version == 6:
        return str(ipaddress.IPv6Address(int(found) >> 64 << 64))
    return str(found)
