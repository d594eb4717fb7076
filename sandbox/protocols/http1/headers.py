"""Header fields that the gateway forwards, removes or sets (RFC 9110 section 7.6). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import attrs

from sandbox.protocols.http1.forwarding import Source, source_fields, tells_source
from sandbox.protocols.http1.framing import CHUNKS, CLOSE, Framing
from sandbox.protocols.http1.grammar import REMEMBERED, Fields, Line, ResponseHead, split_list
from sandbox.protocols.http1.rewriting import REWRITTEN, Rewriter

#: Our entry in Via, by the minor version of the received message (RFC 9110 section 7.6.3).
VIA = (b"1.0 sandbox", b"1.1 sandbox")

#: The field with a request's id, in both directions (:mod:`sandbox.http.identity`).
REQUEST_ID = b"x-request-id"

#: Response fields that apply to a whole origin; removed under a path prefix, where previews share one origin.
_OF_AN_ORIGIN = frozenset({b"alt-svc", b"clear-site-data"})

# RFC 9110 section 7.6.1, and other fields that are hop-by-hop even when Connection does not name them.
_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"http2-settings",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authentication-info",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"transfer-encoding",
        b"upgrade",
    }
)
_OURS = frozenset({b"x-sandbox-user", b"x-internal-service-key", REQUEST_ID})
_ADDRESSES = frozenset({b"origin", b"referer"})
_REPLACED = _HOP_BY_HOP | {b"host"}
_DROPPED = _REPLACED | _OURS
# A response has one id, the one in our log, which the application received. An id of the application's own could
# impersonate another request's.
_NOT_ANSWERED = _HOP_BY_HOP | {REQUEST_ID}
_DECIDED = _NOT_ANSWERED | _OF_AN_ORIGIN | {b"trailer"} | REWRITTEN
_DECIDED_WITHOUT_LENGTH = _DECIDED | {b"content-length"}
# Kept even when Connection names them: removing these would change the meaning of the message.
_NEVER_DROPPED = frozenset({b"content-length", b"host"})


class TrustedProxies:
    """The proxies whose forwarding fields are believed.

    :param words: addresses and networks; ``unix`` means peers on a UNIX socket.
    :raises ValueError: when a word is none of these.
    """

    def __init__(self, words: Iterable[str] = ()) -> None:
        words = set(words)
        self._unix = "unix" in words
        self._networks = [ipaddress.ip_network(word, strict=False) for word in words - {"unix"}]
        self.trusts = lru_cache(1024)(self._trusts)

    def __bool__(self) -> bool:
        """Whether there are any."""
        return self._unix or bool(self._networks)

    def _trusts(self, peer: str | None) -> bool:
        if peer is None:
            return self._unix
        if not self._networks:
            return False
        try:
            address = ipaddress.ip_address(peer.partition("%")[0])
        except ValueError:
            return False
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in self._networks)


@attrs.frozen(kw_only=True)
class ForwardingContext:
    """Context for forwarding a request's fields. Made by :func:`forwarding_context`."""

    source: Source
    rewriter: Rewriter


def forwarding_context(
    *, source: Source, prefix: bytes, stripped: bool, local: bool, address: str, port: int
) -> ForwardingContext:
    """Make the context for requests from a client to an application.

    :param local: whether the application gets the Host ``localhost:<port>`` instead of the browser's; always so for
        requests without a Host.
    :param address: the application's IP address.

    The other parameters are those of :class:`sandbox.protocols.http1.rewriting.Rewriter`.
    """
    made = _remembered_context if source.direct else _context
    return made(source, prefix, stripped, local, address, port)


def _context(  # noqa: PLR0917 - the cache is twice as slow with keywords
    source: Source, prefix: bytes, stripped: bool, local: bool, address: str, port: int
) -> ForwardingContext:
    ip = address.encode("ascii")
    rewriter = Rewriter(
        prefix=prefix,
        stripped=stripped,
        public=source.authority,
        scheme=source.scheme,
        certain=source.certain,
        local=local or not source.authority,
        upstream=b"localhost:%d" % port,
        address=b"[%b]:%d" % (ip, port) if b":" in ip else b"%b:%d" % (ip, port),
    )
    return ForwardingContext(source=source, rewriter=rewriter)


_remembered_context = lru_cache(REMEMBERED)(_context)


def request_lines(
    fields: Sequence[Line],
    known: Mapping[bytes, bytes],
    forwarding_context: ForwardingContext,
    upgrade: bytes | None = None,
    minor: int = 1,
) -> bytes:
    """The field lines for the application.

    Fields that the client's Connection names are removed before ours are added, so that a client cannot remove ours
    (CVE-2024-45410).

    :param known: see :class:`sandbox.protocols.http1.grammar.RequestHead`; it includes the body's framing.
    :param upgrade: the protocol of the upgrade to offer.
    :param minor: the minor version of the request.
    """
    source, rewriter = forwarding_context.source, forwarding_context.rewriter
    named = _named(known)
    sent = [b"Host: %b\r\n" % rewriter.host]
    for field in fields:
        lower = field.lower
        if lower in named or tells_source(lower) or (b"_" in lower and _is_alias(lower)):
            continue
        if lower in _ADDRESSES:
            sent.append(b"%b: %b\r\n" % (field[0], rewriter.request_field(lower, field[1])))
        elif lower not in _DROPPED:
            sent.append(field.data)
    told = source_fields(source, rewriter.prefix if rewriter.stripped else b"", rewriter.local)
    sent.append(field_lines([*_connection_fields(known, upgrade), *told]))
    sent.append(b"Via: %b\r\n" % VIA[minor])
    return b"".join(sent)


def field_lines(fields: Fields) -> bytes:
    """Serialise fields."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def response_lines(head: ResponseHead, framing: Framing, rewriter: Rewriter, *, chunked: bool) -> bytes:
    """The field lines for the browser, without those that frame the body.

    :param framing: of the upstream's response.
    :param chunked: whether the browser gets the chunked coding; only then is a ``Trailer`` field kept.
    """
    named = _named(head.known)
    coding = framing.coding
    no_length = head.status == 204 or head.status < 200 or coding is CHUNKS or coding is CLOSE
    # Most fields are not in this set and are copied unchanged.
    decided = _DECIDED_WITHOUT_LENGTH if no_length else _DECIDED
    sent = []
    for field in head.fields:
        lower = field.lower
        if lower in named:
            continue
        if lower not in decided:
            sent.append(field.data)
        elif lower in REWRITTEN:
            sent.append(b"%b: %b\r\n" % (field[0], rewriter.response_field(lower, field[1])))
        elif (lower == b"trailer" and chunked) or (lower in _OF_AN_ORIGIN and not rewriter.prefix):
            sent.append(field.data)
    return b"".join(sent)


def relayed_trailers(trailers: Fields, known: Mapping[bytes, bytes]) -> Fields:
    """The trailer fields to relay, without those that Connection names (RFC 9110 section 7.6.1).

    :param known: the indexed fields of the message's head.
    """
    named = _named(known)
    return [field for field in trailers if may_be_trailer(field[0]) and field[0].lower() not in named]


def may_be_trailer(name: bytes) -> bool:
    """Whether a trailer field may be relayed: not for routing, framing or authentication (RFC 9110 section 6.5.1)."""
    lower = name.lower().replace(b"_", b"-")
    return not (
        lower in _REPLACED
        or lower in _OURS
        or tells_source(lower)
        or lower in {b"content-length", b"content-encoding", b"content-type", b"content-range", b"trailer"}
        or lower in {b"authorization", b"cookie", b"set-cookie", b"location"}
    )


def _named(known: Mapping[bytes, bytes]) -> Collection[bytes]:
    connection = known.get(b"connection")
    if connection is None or connection.lower() in {b"keep-alive", b"close"}:
        return ()
    return set(split_list(connection)) - _NEVER_DROPPED


def _connection_fields(known: Mapping[bytes, bytes], upgrade: bytes | None) -> Fields:
    """The hop-by-hop fields of our connection to the application (RFC 9110 section 7.6.1)."""
    fields: Fields = []
    options = []
    if b"transfer-encoding" in known:
        fields.append((b"Transfer-Encoding", b"chunked"))
    if b"te" in known and b"trailers" in split_list(known[b"te"]):
        fields.append((b"TE", b"trailers"))
        options.append(b"TE")
    if upgrade is not None:
        fields.append((b"Upgrade", upgrade))
        options.append(b"Upgrade")
    if options:
        fields.append((b"Connection", b", ".join(options)))
    return fields


def _is_alias(lower: bytes) -> bool:
    """Whether CGI and its successors read a name with underscores as one that we set or remove (CVE-2026-33433)."""
    dashed = lower.replace(b"_", b"-")
    return dashed in _REPLACED or dashed in _OURS or dashed == b"content-length" or tells_source(dashed)
