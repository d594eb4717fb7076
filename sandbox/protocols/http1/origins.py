"""Web origins and the authorities in them (RFC 6454). Pure."""

from __future__ import annotations

_DEFAULT_PORTS = {b"http": b":80", b"https": b":443"}


def canonical_authority(scheme: bytes, authority: bytes) -> bytes:
    """An authority in lower case without its scheme's default port.

    >>> canonical_authority(b"http", b"Example.org:80")
    b'example.org'
    """
    return authority.lower().removesuffix(_DEFAULT_PORTS.get(scheme.lower(), b":"))


def canonical_origin(origin: bytes) -> bytes:
    """An origin as browsers serialise it; a value that is not an origin is returned unchanged and equals none.

    >>> canonical_origin(b"HTTPS://Example.org:443"), canonical_origin(b"null")
    (b'https://example.org', b'null')
    """
    scheme, mark, authority = origin.partition(b"://")
    return scheme.lower() + mark + canonical_authority(scheme, authority) if mark else origin
