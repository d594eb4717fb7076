"""Who may see a preview: what a request presents, whom that speaks for, and what of it must not reach the container."""

from __future__ import annotations

import enum
import hmac
import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from urllib.parse import quote, unquote_to_bytes

import attrs

from sandbox.errors import AccessDenied
from sandbox.model import Link
from sandbox.policy.cookies import Scope, SessionCookie, find_cookies, without_ours
from sandbox.policy.tokens import expired, invalid

#: The query parameter that carries a token once, until it is exchanged for a cookie.
PARAMETER = b"access_token"
#: The subprotocol behind which a script names its token.
BEARER_PROTOCOL = b"bearer"
PROTOCOL_FIELD = b"sec-websocket-protocol"
#: The field that tells the application who its user is.
USER_FIELD = b"X-Sandbox-User"
#: Credentials of one request that are looked at; each costs a signature.
CREDENTIALS = 16

_OURS = frozenset({b"x-sandbox-user", b"x-internal-service-key"})
_BEARER = re.compile(rb"bearer +([^ ].*)", re.IGNORECASE)
# All that may stand in a field value as it is, but for the escape itself (RFC 9110 section 5.5).
_VISIBLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")

Field = tuple[bytes, bytes]


class Mode(enum.Enum):
    """Who may see a preview.

    ``PUBLIC``: everybody. ``OWNER``: the session's owner, by a token or by a link that was made for that user.
    ``LINK``: the owner, and whoever holds a link.
    """

    PUBLIC = "public"
    OWNER = "owner"
    LINK = "link"


def mode_of(access: str | None, enforced: bool) -> Mode:
    """What applies to a preview.

    :param access: what its registration asks for.
    :param enforced: what the environment says (``ENABLE_PREVIEW_ACCESS_CONTROL``). A link is made by the platform, so
        it opens what the platform's own rule guards.
    """
    if access is None:
        return Mode.LINK if enforced else Mode.PUBLIC
    return Mode(access)


class Place(enum.Enum):
    """Where a request carries a credential, in the order in which they are tried."""

    HEADER = "Authorization"
    QUERY = "access_token"
    PROTOCOL = "Sec-WebSocket-Protocol"
    COOKIE = "Cookie"


@attrs.frozen
class Credential:
    """A text that may or may not be one of ours."""

    place: Place
    text: bytes = attrs.field(repr=False)


@attrs.frozen(kw_only=True)
class Holder:
    """Whom a genuine credential speaks for.

    :ivar user_id: the user of a token; ``None`` for a link, whose row says it.
    :ivar ends: when its authority ends by itself, in seconds since the epoch; ``None`` for never.
    :ivar cookie: the cookie that said so, so that it can be renewed.
    """

    user_id: str | None = None
    link_id: str | None = None
    ends: float | None = None
    cookie: SessionCookie | None = None


def presented(fields: Sequence[Field], target: bytes, scope: Scope) -> list[Credential]:
    """The credentials of a request, in the order in which they are tried; other schemes and parameters are not ours.

    :param fields: the request's header fields, in any case and order.
    :param target: its target in origin-form, as received.
    """
    found: list[Credential] = []
    protocols: list[Credential] = []
    cookies: list[Credential] = []
    for name, value in fields:
        match name.lower():
            case b"authorization":
                if (bearer := bearer_token(value)) is not None:
                    found.append(Credential(Place.HEADER, bearer))
            case b"cookie":
                cookies += [Credential(Place.COOKIE, text) for text in find_cookies(value, scope)]
            case b"sec-websocket-protocol":
                protocols += [Credential(Place.PROTOCOL, text) for text in _protocol_tokens(value)]
    if PARAMETER in target:
        found += [Credential(Place.QUERY, text) for text in _query_tokens(target)]
    return [*found, *protocols, *cookies][:CREDENTIALS]


def bearer_token(value: bytes) -> bytes | None:
    """The token of an ``Authorization`` value (RFC 6750 section 2.1); ``None`` for other schemes and for no token.

    >>> bearer_token(b"bearer  x"), bearer_token(b"Basic x"), bearer_token(b"Bearer ")
    (b'x', None, None)
    """
    match = _BEARER.fullmatch(value)
    return match[1] if match else None


def same_user(one: str, other: str) -> bool:
    """Whether two user ids are equal, in a time that does not tell how much of them is."""
    return hmac.compare_digest(one.encode("utf-8", "surrogatepass"), other.encode("utf-8", "surrogatepass"))


def admit_user(user_id: str, owner: str | None) -> str:
    """Admit a token's user, who must own the session.

    :param owner: the session's owner; ``None`` when there is no such session.
    :return: the user id to tell the application.
    :raises AccessDenied: for anybody else; whether the session exists is not told (contract section 6).
    """
    if owner is None or not same_user(user_id, owner):
        raise AccessDenied
    return user_id


def admit_link(mode: Mode, session_id: str, link: Link | None, owner: str | None, now: float) -> str | None:
    """Admit the holder of a link.

    :param link: the link as the store has it; ``None`` when it was revoked.
    :param owner: the session's owner, where the mode asks for it.
    :return: the user whom the link was made for, if any.
    :raises TokenRejected: when the link was revoked or is over.
    :raises AccessDenied: when it was made for another session, or does not do where only the owner may see.
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


def foreign(method: bytes, fields: Sequence[Field], own: Collection[bytes]) -> bool:
    """Whether another site's page, or another preview's, made a browser send this: then its cookie does not count.

    SameSite=Lax keeps the cookie from other sites, but previews of one domain are one site, and not to be trusted.
    What browsers say of themselves decides (Fetch Metadata, ``Sec-Fetch-*``): the preview's own pages, what a person
    typed or opened, and navigations that change nothing. Where they don't say it (plain http, WebSockets), ``Origin``
    does. Neither can be set by a page's script.

    :param own: the authorities (``host`` or ``host:port``, lower case) that the preview is visited under.
    """
    found: dict[bytes, bytes] = {}
    for name, value in fields:
        lower = name.lower()
        telling = lower == b"origin" or lower.startswith(b"sec-fetch-")
        if telling and found.setdefault(lower, value) != value:
            return True
    safe = method in {b"GET", b"HEAD"}
    site = found.get(b"sec-fetch-site")
    if site is not None:
        embedded = found.get(b"sec-fetch-dest") in {b"object", b"embed"}
        navigation = safe and found.get(b"sec-fetch-mode") == b"navigate" and not embedded
        return not (site in {b"same-origin", b"none"} or navigation)
    origin = found.get(b"origin")
    return origin is not None and _authority(origin) not in own


def cleaned(
    fields: Sequence[Field], target: bytes, consumed: Collection[bytes], user_id: str | None
) -> tuple[list[Field], bytes]:
    """A request's fields and target as the container may see them: nothing of ours, all else byte for byte.

    :param consumed: the texts of tokens that are ours, wherever they stand.
    :param user_id: whom to name in ``X-Sandbox-User``.
    """
    kept: list[Field] = []
    for name, value in fields:
        lower = name.lower()
        # Servers that make environment variables of field names take the one for the other.
        if lower in _OURS or (b"_" in lower and lower.replace(b"_", b"-") in _OURS):
            continue
        if lower == b"cookie":
            rest = without_ours(value)
        elif consumed and lower == b"authorization":
            rest = b"" if bearer_token(value) in consumed else value
        elif consumed and lower == b"sec-websocket-protocol":
            rest = _without_protocols(value, consumed)
        else:
            kept.append((name, value))
            continue
        if rest or not value:
            kept.append((name, rest))
    if user_id is not None:
        kept.append((USER_FIELD, quote(user_id, safe=_VISIBLE).encode("ascii")))
    return kept, without_tokens(target, consumed)


def without_tokens(target: bytes, consumed: Collection[bytes]) -> bytes:
    """A target without the ``access_token`` parameters whose values are ours; the rest stays byte for byte.

    >>> without_tokens(b"/p/?a=1&access_token=x&b=%20", {b"x"})
    b'/p/?a=1&b=%20'
    >>> without_tokens(b"/p/?access_token=x", {b"x"}), without_tokens(b"/p/?access_token=theirs", {b"x"})
    (b'/p/', b'/p/?access_token=theirs')
    """
    if not consumed or PARAMETER not in target:
        return target
    path, _, query = target.partition(b"?")
    pieces = query.split(b"&")
    kept = [piece for piece in pieces if _token_of(piece) not in consumed]
    if len(kept) == len(pieces):
        return target
    return path + b"?" + b"&".join(kept) if kept else path


def redirect_location(target: bytes) -> bytes:
    """A target as a ``Location`` that stays on this host.

    A browser takes ``//x`` and ``/\\x`` for another host (URL Standard, relative slash state); a dot segment, which it
    drops, keeps the path what it is.

    >>> redirect_location(b"/a?b"), redirect_location(b"//evil.example/"), redirect_location(b"/\\\\evil.example")
    (b'/a?b', b'/.//evil.example/', b'/./\\\\evil.example')
    """
    return b"/." + target if target[1:2] in {b"/", b"\\"} else target


def _authority(origin: bytes) -> bytes:
    scheme, _, authority = origin.lower().partition(b"://")
    default = {b"http": b":80", b"https": b":443"}.get(scheme, b"")
    return authority.removesuffix(default) if default else authority


def _query_tokens(target: bytes) -> list[bytes]:
    pieces = target.partition(b"?")[2].split(b"&")
    return [token for piece in pieces if (token := _token_of(piece))]


def _token_of(piece: bytes) -> bytes | None:
    name, _, value = piece.partition(b"=")
    return unquote_to_bytes(value) if name == PARAMETER else None


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
