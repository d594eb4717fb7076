"""Access to previews: extraction of credentials, admission, and their removal before a request is forwarded."""

from __future__ import annotations

import enum
import hashlib
import hmac
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

import attrs

from sandbox.domain.errors import AccessDenied
from sandbox.domain.model import Link
from sandbox.policy.cookies import SessionCookie, find_cookies, without_ours
from sandbox.policy.tokens import expired, invalid
from sandbox.protocols.http1.grammar import REMEMBERED, Field, Line, memorable, read_section
from sandbox.protocols.http1.origins import canonical_origin

#: The query parameter that carries a token once, until it is exchanged for a cookie.
PARAMETER = b"access_token"
#: The subprotocol that a script offers in front of its token, and the field that carries both.
BEARER_PROTOCOL = b"bearer"
PROTOCOL_FIELD = b"sec-websocket-protocol"
#: The field that forwards the verified user id to the application.
USER_FIELD = b"X-Sandbox-User"
#: Maximum number of credentials verified per request; each costs a signature.
CREDENTIALS = 16

_BEARER = re.compile(rb"bearer +([^ ].*)", re.IGNORECASE)
# Characters allowed in a field value without escaping, except the escape itself (RFC 9110 section 5.5).
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")


class Mode(enum.Enum):
    """Access mode of a preview.

    ``PUBLIC``: no credential required. ``OWNER``: the session's owner, by a token or by a link made for that user.
    ``LINK``: the owner, and every holder of a link.
    """

    PUBLIC = "public"
    OWNER = "owner"
    LINK = "link"


def mode_of(access: str | None, enforced: bool) -> Mode:
    """The access mode that applies to a preview.

    :param access: the registration's mode; ``None``: the default.
    :param enforced: the default by ``ENABLE_PREVIEW_ACCESS_CONTROL``. The platform makes the links, so they are valid
        under its own rule.
    """
    if access is None:
        return Mode.LINK if enforced else Mode.PUBLIC
    return Mode(access)


class Place(enum.IntEnum):
    """Where a request carries a credential, in order of precedence."""

    HEADER = 0
    QUERY = 1
    PROTOCOL = 2
    COOKIE = 3


class Credential(NamedTuple):
    """A presented credential, not verified yet; it may belong to the application.

    :ivar digest: SHA-256 of the text, the key of caches.
    """

    place: Place
    text: bytes
    digest: bytes

    @classmethod
    def of(cls, place: Place, text: bytes) -> Credential:
        """Make a credential of a text."""
        return cls(place, text, hashlib.sha256(text).digest())

    def __repr__(self) -> str:
        return f"<Credential in {self.place.name}>"


@attrs.frozen(kw_only=True)
class Holder:
    """The holder of a genuine credential.

    :ivar user_id: the user of a token; ``None`` for a link, whose row names it.
    :ivar ends: expiry, in seconds since the epoch; ``None`` for never.
    :ivar cookie: the cookie that was presented, for its renewal.
    """

    user_id: str | None = None
    link_id: str | None = None
    ends: float | None = None
    cookie: SessionCookie | None = None


class Presented(NamedTuple):
    """Credentials and origin in a request's fields.

    :ivar credentials: in order of precedence.
    :ivar origin: the ``Origin`` field; ``None`` when it is missing, as with the next three.
    :ivar site: the ``Sec-Fetch-Site`` field.
    :ivar mode: the ``Sec-Fetch-Mode`` field.
    :ivar dest: the ``Sec-Fetch-Dest`` field.
    """

    credentials: tuple[Credential, ...]
    origin: bytes | None = None
    site: bytes | None = None
    mode: bytes | None = None
    dest: bytes | None = None


_TELLING = (b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest")
_CARRYING = frozenset({b"authorization", b"cookie", b"sec-websocket-protocol"})
_READ = _CARRYING | set(_TELLING)


def presented(section: bytes, cookie: bytes) -> Presented:
    """Extract credentials and origin from a field section; other schemes, subprotocols and cookies are ignored.

    :param section: see :class:`sandbox.protocols.http1.grammar.RequestHead`.
    :param cookie: the session cookie's name in this request.
    """
    return (_presented if memorable(section) else _presented.__wrapped__)(section, cookie)


@lru_cache(REMEMBERED)
def _presented(section: bytes, cookie: bytes) -> Presented:
    found: list[Credential] = []
    told: dict[bytes, bytes] = {}
    for field in read_section(section)[0]:
        if field.lower not in _READ:
            continue
        value = field[1]
        match field.lower:
            case b"authorization":
                if (bearer := bearer_token(value)) is not None:
                    found.append(Credential.of(Place.HEADER, bearer))
            case b"cookie":
                found += [Credential.of(Place.COOKIE, text) for text in find_cookies(value, cookie)]
            case b"sec-websocket-protocol":
                found += [Credential.of(Place.PROTOCOL, text) for text in _protocol_tokens(value)]
            case lower:
                # Repeated fields with different values are ambiguous: this value equals no origin.
                told[lower] = value if told.get(lower, value) == value else b"contradictory"
    credentials = tuple(sorted(found, key=_place)[:CREDENTIALS])
    return Presented(credentials, *(told.get(name) for name in _TELLING))


def with_query(credentials: tuple[Credential, ...], target: bytes) -> tuple[Credential, ...]:
    """The credentials of a request's fields and of its target, in order of precedence.

    :param target: in origin-form, as received.
    """
    if PARAMETER not in target:
        return credentials
    found = [Credential.of(Place.QUERY, text) for text in _query_tokens(target)]
    return tuple(sorted([*credentials, *found], key=_place)[:CREDENTIALS])


def bearer_token(value: bytes) -> bytes | None:
    """The token of an ``Authorization`` value (RFC 6750 section 2.1); ``None`` for other schemes and for no token.

    >>> bearer_token(b"bearer  x"), bearer_token(b"Basic x"), bearer_token(b"Bearer ")
    (b'x', None, None)
    """
    match = _BEARER.fullmatch(value)
    return match[1] if match else None


def same_user(one: str, other: str) -> bool:
    """Whether two user ids are equal; compared in constant time."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def admit_user(user_id: str, owner: str | None) -> str:
    """Admit a token's user, who must own the session.

    :param owner: the session's owner; ``None`` when there is no such session.
    :return: the user id to forward to the application.
    :raises AccessDenied: for any other user; it does not reveal whether the session exists (contract section 6).
    """
    if owner is None or not same_user(user_id, owner):
        raise AccessDenied
    return user_id


def admit_link(mode: Mode, session_id: str, link: Link | None, owner: str | None, now: float) -> str | None:
    """Admit the holder of a link.

    :param link: the stored link; ``None`` when it was revoked.
    :param owner: the session's owner, where the mode requires it.
    :return: the user that the link was made for, if any.
    :raises TokenRejected: when the link was revoked or has expired.
    :raises AccessDenied: when it was made for another session, or was not made for the owner and the mode is ``OWNER``.
    """
    if link is None:
        raise invalid()
    if link.session_id != session_id:
        raise AccessDenied
    if datetime.fromtimestamp(now, UTC) >= link.expires_at:
        raise expired()
    if mode is Mode.OWNER and (link.user_id is None or owner is None or not same_user(link.user_id, owner)):
        raise AccessDenied
    return link.user_id


def foreign(method: bytes, presented: Presented, own: Collection[bytes]) -> bool:
    """Whether a page of another site, or of another preview, caused the request, so that its cookie does not count.

    SameSite=Lax withholds the cookie from other sites, but all previews of one domain are the same site and do not
    trust each other. Fetch Metadata (``Sec-Fetch-*``) decides: requests of the preview's own pages, requests without an
    initiator, and safe navigations are accepted. Where a browser does not send it (plain http, WebSockets), ``Origin``
    decides. Scripts can set neither.

    :param own: the origins of the preview's own pages, see :func:`sandbox.protocols.http1.origins.canonical_origin`.
    """
    if presented.site is not None:
        embedded = presented.dest in {b"object", b"embed"}
        navigation = method in {b"GET", b"HEAD"} and presented.mode == b"navigate" and not embedded
        return not (presented.site in {b"same-origin", b"none"} or navigation)
    if presented.origin is None:
        return False
    return canonical_origin(presented.origin) not in own


def speaks_for_itself(presented: Presented) -> bool:
    """Whether :func:`foreign` is false for every method and every own origin."""
    if presented.site is not None:
        return presented.site in {b"same-origin", b"none"}
    return presented.origin is None


def cleaned(section: bytes, consumed: Sequence[bytes]) -> bytes:
    """A field section without the platform's cookies and tokens; the same object when it has none.

    :param consumed: the texts of the platform's tokens, wherever they were presented.
    """
    return (_cleaned if memorable(section) else _cleaned.__wrapped__)(section, tuple(consumed))


@lru_cache(REMEMBERED)
def _cleaned(section: bytes, consumed: tuple[bytes, ...]) -> bytes:
    fields = read_section(section)[0]
    if not any(field.lower in _CARRYING for field in fields):
        return section
    kept = [field for before in fields if (field := _cleaned_field(before, consumed)) is not None]
    if kept == list(fields):
        return section
    return b"".join([b"%b: %b\r\n" % field for field in kept]) + b"\r\n"


def _cleaned_field(field: Line, consumed: tuple[bytes, ...]) -> Field | None:
    name, value = field
    match field.lower:
        case b"cookie":
            rest = without_ours(value)
        case b"authorization":
            rest = b"" if bearer_token(value) in consumed else value
        case b"sec-websocket-protocol":
            rest = _without_protocols(value, consumed)
        case _:
            return field
    return (name, rest) if rest or not value else None


def user_field(user_id: str) -> Field:
    """The field that forwards the user id to the application, percent-encoded where a field value requires it.

    >>> user_field("a+b@x.example"), user_field("a b")
    ((b'X-Sandbox-User', b'a+b@x.example'), (b'X-Sandbox-User', b'a%20b'))
    """
    return USER_FIELD, quote(user_id, safe=_VISIBLE).encode("ascii")


def without_tokens(target: bytes, consumed: Collection[bytes]) -> bytes:
    """A target without the ``access_token`` parameters that carry the platform's tokens, otherwise byte for byte.

    >>> without_tokens(b"/p/?a=1&access_token=x&b=%20", {b"x"})
    b'/p/?a=1&b=%20'
    >>> without_tokens(b"/p/?access_token=x", {b"x"}), without_tokens(b"/p/?access_token=theirs", {b"x"})
    (b'/p/', b'/p/?access_token=theirs')
    """
    if not consumed or (PARAMETER not in target and b"%" not in target):
        return target
    path, _, query = target.partition(b"?")
    pieces = query.split(b"&")
    kept = [piece for piece in pieces if _token_of(piece) not in consumed]
    if len(kept) == len(pieces):
        return target
    return path + b"?" + b"&".join(kept) if kept else path


def redirect_location(target: bytes) -> bytes:
    """A target as a ``Location`` that stays on this host.

    A browser reads ``//x`` and ``/\\x`` as another host (URL Standard, relative slash state). A leading dot segment,
    which it removes, prevents that.

    >>> redirect_location(b"/a?b"), redirect_location(b"//evil.example/"), redirect_location(b"/\\\\evil.example")
    (b'/a?b', b'/.//evil.example/', b'/./\\\\evil.example')
    """
    return b"/." + target if target[1:2] in {b"/", b"\\"} else target


def _place(credential: Credential) -> Place:
    return credential.place


def _query_tokens(target: bytes) -> list[bytes]:
    pieces = target.partition(b"?")[2].split(b"&")
    return [token for piece in pieces if (token := _token_of(piece))]


def _token_of(piece: bytes) -> bytes | None:
    name, _, value = piece.partition(b"=")
    # A parameter with an escaped name is no credential, but is removed like one before the request is forwarded.
    return unquote_to_bytes(value) if unquote_to_bytes(name) == PARAMETER else None


def _protocol_tokens(value: bytes) -> list[bytes]:
    names = [name.strip(b" \t") for name in value.split(b",")]
    return [token for mark, token in pairwise(names) if mark == BEARER_PROTOCOL]


def _without_protocols(value: bytes, consumed: Collection[bytes]) -> bytes:
    names = value.split(b",")
    kept: list[bytes] = []
    for name in names:
        if name.strip(b" \t") not in consumed:
            kept.append(name)
        elif kept and kept[-1].strip(b" \t") == BEARER_PROTOCOL:
            kept.pop()
    return value if len(kept) == len(names) else b",".join(kept).lstrip(b" \t")
