"""The source of a request: parsing and generation of ``Forwarded`` (RFC 7239) and ``X-Forwarded-*``. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import attrs

from sandbox.protocols.http1.grammar import HOST, REMEMBERED, Field, Line, memorable, read_section
from sandbox.protocols.http1.origins import canonical_authority

#: Non-standard equivalents of the fields generated here; never forwarded.
ALIASES = frozenset(
    {
        b"front-end-https",
        b"x-forwarded-protocol",
        b"x-forwarded-scheme",
        b"x-forwarded-server",
        b"x-forwarded-ssl",
        b"x-scheme",
        b"x-url-scheme",
    }
)
# In order of precedence. "on" and "off" are values of X-Forwarded-Ssl; Traefik sends ws and wss for WebSockets.
_SCHEMES = (b"x-forwarded-proto", b"x-forwarded-scheme", b"x-forwarded-protocol", b"x-forwarded-ssl")
_MEANING = {b"http": b"http", b"https": b"https", b"ws": b"http", b"wss": b"https", b"on": b"https", b"off": b"http"}
_DEFAULT_PORTS = {b"http": b"80", b"https": b"443"}
# Generated here, so not forwarded unchanged.
_WRITTEN = ALIASES | {
    b"forwarded",
    b"x-forwarded-for",
    b"x-forwarded-host",
    b"x-forwarded-port",
    b"x-forwarded-prefix",
    b"x-forwarded-proto",
}
_REAL_IP = b"x-real-ip"
_OTHER_NAMES = ALIASES | {b"forwarded", _REAL_IP}

_PIECE = re.compile(rb'(?:"(?:[^"\\]|\\.)*+"|[^",;])++|[,;]')
_ESCAPED = re.compile(rb"\\(.)")
# An address with or without a port, or an RFC 7239 identifier (section 6).
_NODE = re.compile(rb"[A-Za-z0-9._:%\[\]-]++")
_WITH_PORT = re.compile(rb"\[([^\]]*)\](?::.*)?|([^:]*):[^:]*")
_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++")
_PORT = re.compile(rb"[1-9][0-9]{0,4}")
# Maximum bytes of a Host in the keys of caches: longer ones are not worth the memory.
_HOST_LIMIT = 255
_HAS_PORT = re.compile(rb":[0-9]*$")


def tells_source(lower: bytes) -> bool:
    """Whether a field of this lower-case name describes the source of a request; only trusted proxies may set it."""
    return lower.startswith(b"x-forwarded-") or lower in _OTHER_NAMES


@attrs.frozen(kw_only=True, cache_hash=True)
class Source:
    """The source of a request, by its connection and the fields of trusted proxies.

    :ivar scheme: the browser's scheme, ``http`` or ``https``.
    :ivar certain: whether the scheme is known; an untrusted peer of plain HTTP may be a proxy that terminates TLS.
    :ivar authority: the browser's authority, without its scheme's default port; ``b""`` for HTTP/1.0 without a Host.
    :ivar addresses: of the client and the proxies, the peer last.
    :ivar prefix: the path prefix under which a trusted proxy serves the daemon.
    :ivar others: ``X-Real-IP`` and the fields of a trusted proxy that name neither host nor scheme, by lower-case name.
    """

    scheme: bytes
    certain: bool
    authority: bytes
    addresses: tuple[bytes, ...]
    prefix: bytes = b""
    others: tuple[tuple[bytes, bytes], ...] = ()

    @property
    def direct(self) -> bool:
        """Whether it follows from the connection and a short Host alone, so that caches may be keyed by it."""
        return len(self.addresses) == 1 and not (self.prefix or self.others) and len(self.authority) <= _HOST_LIMIT


def source_of(section: bytes, peer: str | None, trusted: bool, secure: bool) -> Source:
    """The source of a request: from ``X-Forwarded-*``, else from ``Forwarded``, else from the connection.

    :param section: see :class:`sandbox.protocols.http1.grammar.RequestHead`.
    :param peer: the address of the connection's other end; ``None`` on a UNIX socket.
    :param trusted: whether the peer is a trusted proxy; the fields of any other peer are ignored.
    :param secure: whether the connection itself is TLS.
    """
    return (_remembered_source if memorable(section) else _source_of)(section, peer, trusted, secure)


def _source_of(section: bytes, peer: str | None, trusted: bool, secure: bool) -> Source:
    fields, known = read_section(section)
    said = _said(fields) if trusted else {}
    host = known.get(b"host", b"")
    if not said:
        return (_remembered_direct if len(host) <= _HOST_LIMIT else _direct)(host, peer, secure)
    elements = read_forwarded(said.get(b"forwarded", b""))
    scheme = next(_schemes(said, elements), b"")
    certain = bool(scheme) or secure
    scheme = scheme or (b"https" if secure else b"http")
    return Source(
        scheme=scheme,
        certain=certain,
        authority=_authority(said, elements, host, scheme),
        addresses=(*_addresses(said, elements), _address(peer)),
        prefix=said.get(b"x-forwarded-prefix", b""),
        others=tuple((name, value) for name, value in said.items() if name not in _WRITTEN),
    )


def _direct(host: bytes, peer: str | None, secure: bool) -> Source:
    """The source of a request that no trusted proxy says anything of."""
    scheme = b"https" if secure else b"http"
    return Source(
        scheme=scheme, certain=secure, authority=_authority({}, (), host, scheme), addresses=(_address(peer),)
    )


def _address(peer: str | None) -> bytes:
    return peer.encode("ascii", "replace") if peer is not None else b"unknown"


_remembered_source = lru_cache(REMEMBERED)(_source_of)
# Of requests whose sections differ in every request, the source is mostly the same.
_remembered_direct = lru_cache(REMEMBERED)(_direct)


def source_fields(source: Source, prefix: bytes, local: bool) -> Sequence[Field]:
    """The fields that describe the source of a request to an application.

    ``Forwarded`` has an element for each address, since some applications read the first one and some the last.

    :param prefix: the prefix that was stripped from the target.
    :param local: whether to omit the browser's host and scheme.
    """
    return (_remembered_fields if source.direct else _source_fields)(source, prefix, local)


def _source_fields(source: Source, prefix: bytes, local: bool) -> Sequence[Field]:
    public = not local and bool(source.authority)
    fields: list[Field] = [(b"X-Forwarded-For", b", ".join(source.addresses))]
    said = b""
    if public:
        port = _HAS_PORT.search(source.authority)
        fields += [
            (b"X-Forwarded-Proto", source.scheme),
            (b"X-Forwarded-Host", source.authority),
            (b"X-Forwarded-Port", port[0][1:] if port else _DEFAULT_PORTS[source.scheme]),
        ]
        said = b";host=%b;proto=%b" % (_quoted(source.authority), source.scheme)
    if source.prefix or prefix:
        fields.append((b"X-Forwarded-Prefix", source.prefix + prefix))
    fields.append((b"Forwarded", b", ".join([b"for=%b%b" % (_node(one), said) for one in source.addresses])))
    fields += [(name, value) for name, value in source.others if public or name == _REAL_IP]
    return tuple(fields)


_remembered_fields = lru_cache(REMEMBERED)(_source_fields)


def read_forwarded(value: bytes) -> list[dict[bytes, bytes]]:
    """The elements of a ``Forwarded`` value; empty when it is malformed.

    >>> read_forwarded(b'for="[2001:db8::1]:4711";proto=https, For=10.0.0.1')
    [{b'for': b'[2001:db8::1]:4711', b'proto': b'https'}, {b'for': b'10.0.0.1'}]
    >>> read_forwarded(b'for="10.0.0.1'), read_forwarded(b"10.0.0.1")
    ([], [])
    """
    pieces = _PIECE.findall(value)
    if b"".join(pieces) != value:
        return []
    elements: list[dict[bytes, bytes]] = [{}]
    for piece in pieces:
        if piece == b",":
            elements.append({})
        elif piece != b";" and (pair := piece.strip(b" \t")):
            name, equals, text = pair.partition(b"=")
            if not equals or not _TOKEN.fullmatch(name):
                return []
            if text.startswith(b'"'):
                text = _ESCAPED.sub(rb"\1", text[1:-1])
            elements[-1].setdefault(name.lower(), text)
    return [element for element in elements if element]


def _said(fields: Sequence[Line]) -> dict[bytes, bytes]:
    said: dict[bytes, bytes] = {}
    for field in fields:
        lower = field.lower
        # Names with underscores are ignored: CGI and its successors cannot tell them from those with hyphens.
        if tells_source(lower) and b"_" not in lower:
            said[lower] = said[lower] + b", " + field[1] if lower in said else field[1]
    return said


def _first(value: bytes) -> bytes:
    return value.split(b",", 1)[0].strip(b" \t")


def _schemes(said: Mapping[bytes, bytes], elements: Sequence[Mapping[bytes, bytes]]) -> Iterator[bytes]:
    words = [_first(said.get(name, b"")) for name in _SCHEMES] + [one.get(b"proto", b"") for one in elements]
    return (_MEANING[word.lower()] for word in words if word.lower() in _MEANING)


def _authority(
    said: Mapping[bytes, bytes], elements: Sequence[Mapping[bytes, bytes]], host: bytes, scheme: bytes
) -> bytes:
    names = [_first(said.get(b"x-forwarded-host", b"")), *(one.get(b"host", b"") for one in elements), host]
    authority = next((name for name in names if HOST.fullmatch(name)), b"")
    port = _first(said.get(b"x-forwarded-port", b""))
    # For proxies that omit the port in the host. 80 and 443 are ignored: they often belong to an inner proxy behind the
    # one that terminates TLS.
    if authority and not _HAS_PORT.search(authority) and _PORT.fullmatch(port) and port not in {b"80", b"443"}:
        authority += b":" + port
    return authority[: len(canonical_authority(scheme, authority))].removesuffix(b":")


def _addresses(said: Mapping[bytes, bytes], elements: Sequence[Mapping[bytes, bytes]]) -> list[bytes]:
    listed = said.get(b"x-forwarded-for", b"").split(b",")
    nodes = [node for piece in listed if (node := piece.strip(b" \t"))]
    if not nodes:
        nodes = [_without_port(element[b"for"]) for element in elements if b"for" in element]
    if not nodes and _REAL_IP in said:
        nodes = [_first(said[_REAL_IP])]
    return [node if _NODE.fullmatch(node) else b"unknown" for node in nodes]


def _without_port(node: bytes) -> bytes:
    match = _WITH_PORT.fullmatch(node)
    return (match[1] or match[2] or node) if match else node


def _node(address: bytes) -> bytes:
    """An address as a node of RFC 7239 section 6: IPv6 in brackets and quotes.

    >>> _node(b"10.0.0.1"), _node(b"2001:db8::1"), _node(b"10.0.0.1:80")
    (b'10.0.0.1', b'"[2001:db8::1]"', b'"10.0.0.1:80"')
    """
    return b'"[%b]"' % address if address.count(b":") > 1 and b"[" not in address else _quoted(address)


def _quoted(value: bytes) -> bytes:
    return value if _TOKEN.fullmatch(value) else b'"%b"' % value
