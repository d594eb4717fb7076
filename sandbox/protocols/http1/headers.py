"""Which header fields pass a gateway, and which it sets (RFC 9110 section 7.6). Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

import attrs

from sandbox.protocols.http1.forwarding import Source, source_fields, tells_source
from sandbox.protocols.http1.framing import CHUNKS, CLOSE, Framing
from sandbox.protocols.http1.grammar import Fields, Line, ResponseHead, split_list
from sandbox.protocols.http1.rewriting import REWRITTEN, Rewriter

#: How we name ourselves in Via, by the minor version of the message that we received (RFC 9110 section 7.6.3).
VIA = (b"1.0 sandbox", b"1.1 sandbox")

#: The field that names a request, on its way in and out (:mod:`sandbox.http.identity`).
REQUEST_ID = b"x-request-id"

#: What an application says of its whole origin. Under a path prefix that is everybody's, so it is not said there.
_OF_AN_ORIGIN = frozenset({b"alt-svc", b"clear-site-data"})

# RFC 9110 section 7.6.1, and the fields that belong to one connection without anybody's Connection naming them.
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
# An answer has one name, the one in our log. The application was told it; a name of its own making could pass for
# another request's.
_NOT_ANSWERED = _HOP_BY_HOP | {REQUEST_ID}
_DECIDED = _NOT_ANSWERED | _OF_AN_ORIGIN | {b"trailer"} | REWRITTEN
_DECIDED_WITHOUT_LENGTH = _DECIDED | {b"content-length"}
# Named by Connection or not: to drop these would change what the message is, not who it is for.
_NEVER_DROPPED = frozenset({b"content-length", b"host"})


class TrustedProxies:
    """The peers whose word on where a request came from is taken.

    :param words: addresses and networks; ``unix`` stands for peers on a UNIX socket.
    :raises ValueError: for a word that is none of these.
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
    """What decides about a request's fields, beside the fields themselves. Made by :func:`forwarding_context`."""

    source: Source
    rewriter: Rewriter


def forwarding_context(
    *, source: Source, prefix: bytes, stripped: bool, local: bool, address: str, port: int
) -> ForwardingContext:
    """The way from a client to an application.

    :param local: whether the application is told that it is at ``localhost:<port>``, instead of where browsers find it.
        Without a Host there is nothing else to tell.
    :param address: the application's IP address.

    The rest is as in :class:`sandbox.protocols.http1.rewriting.Rewriter`.
    """
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


def request_lines(
    fields: Sequence[Line],
    known: Mapping[bytes, bytes],
    forwarding_context: ForwardingContext,
    upgrade: bytes | None = None,
    minor: int = 1,
) -> bytes:
    """The lines of the fields that go to the application.

    Whatever the client's Connection field names is dropped before ours are added, so that it cannot take away what we
    say (CVE-2024-45410).

    :param known: see :class:`sandbox.protocols.http1.grammar.RequestHead`; it says how the body is framed, too.
    :param upgrade: the protocol of an upgrade that is offered on.
    :param minor: of the request's version.
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
    sent.append(field_lines(_connection_fields(known, upgrade) + told))
    sent.append(b"Via: %b\r\n" % VIA[minor])
    return b"".join(sent)


def field_lines(fields: Fields) -> bytes:
    """Fields as they stand in a head."""
    return b"".join([b"%b: %b\r\n" % field for field in fields])


def response_lines(head: ResponseHead, framing: Framing, rewriter: Rewriter, *, chunked: bool) -> bytes:
    """The lines of the fields that go to the browser, without those that say how the body is framed there.

    :param framing: of the upstream's response.
    :param chunked: whether the browser gets chunks, so that a ``Trailer`` field still means something.
    """
    named = _named(head.known)
    coding = framing.coding
    no_length = head.status == 204 or head.status < 200 or coding is CHUNKS or coding is CLOSE
    # All others pass as they are, and nearly all are others.
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
    """The trailer fields that pass: what Connection names does not (RFC 9110 section 7.6.1).

    :param known: of the message's head.
    """
    named = _named(known)
    return [field for field in trailers if may_be_trailer(field[0]) and field[0].lower() not in named]


def may_be_trailer(name: bytes) -> bool:
    """Whether a trailer field may be relayed: not one that routes, frames or authenticates (RFC 9110 section 6.5.1)."""
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
    """What we say of our own connection to the application (RFC 9110 section 7.6.1)."""
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
    """Whether a name with underscores is, to CGI and its heirs, one that means something to us (CVE-2026-33433)."""
    dashed = lower.replace(b"_", b"-")
    return dashed in _REPLACED or dashed in _OURS or dashed == b"content-length" or tells_source(dashed)
