"""The session cookie: what a browser holds after it opened a link, bound to one session and short-lived."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import attrs

from sandbox.policy.signing import SIGNATURE, Signer

_NAME = b"sandbox-preview"
_HOST_NAME = b"__Host-sandbox-preview"
_NAMES = frozenset({_NAME, _HOST_NAME})

# The subject is a link's id or a user's, the latter in base64url. Six dots: neither a JWT (two) nor a link (four).
_FORM = re.compile(
    rb"cookie\.([A-Za-z0-9_-]{1,64})\.(link|user)\.([A-Za-z0-9_-]{1,1400})\.([1-9][0-9]{0,11})\.([1-9][0-9]{0,11})"
    rb"\.[A-Za-z0-9_-]{%d}" % SIGNATURE
)


@attrs.frozen(kw_only=True)
class SessionCookie:
    """What a session cookie says.

    :ivar link_id: the link that was opened, or ``None`` when a token was exchanged.
    :ivar user_id: the token's user, or ``None`` when a link was opened.
    :ivar expires: when this cookie ends, in seconds since the epoch.
    :ivar ends: when what it was given for ends: it is never renewed past that.
    """

    session_id: str
    link_id: str | None = None
    user_id: str | None = None
    expires: int
    ends: int


@attrs.frozen
class Scope:
    """Which requests a browser sends a preview's cookie with.

    :ivar path: ``/`` on a host of the preview's own, ``/previews/<id>`` on the host that all share.
    :ivar secure: whether the browser came by https.
    """

    path: str
    secure: bool

    @property
    def name(self) -> bytes:
        """The cookie's name, as narrow as the browser can be told.

        ``__Host-`` (RFC 6265bis section 4.1.3.2) wants Secure and the path ``/``; with it no other preview of the same
        domain can put a cookie of its own in this one's place.
        """
        return _HOST_NAME if self.secure and self.path == "/" else _NAME


def write_cookie(signer: Signer, cookie: SessionCookie) -> str:
    """The cookie's value."""
    if cookie.link_id is not None:
        kind, subject = "link", cookie.link_id
    else:
        user = (cookie.user_id or "").encode()
        kind, subject = "user", base64.urlsafe_b64encode(user).rstrip(b"=").decode("ascii")
    return signer.sign(f"cookie.{cookie.session_id}.{kind}.{subject}.{cookie.expires}.{cookie.ends}")


def read_cookie(signer: Signer, value: bytes) -> SessionCookie | None:
    """The inverse of :func:`write_cookie`; ``None`` for whatever was not written by it."""
    match = _FORM.fullmatch(value)
    if match is None or not signer.genuine(value):
        return None
    session_id, kind, subject, expires, ends = match.groups()
    by_link = kind == b"link"
    return SessionCookie(
        session_id=session_id.decode("ascii"),
        link_id=subject.decode("ascii") if by_link else None,
        user_id=None if by_link else base64.urlsafe_b64decode(subject + b"=" * (-len(subject) % 4)).decode(),
        expires=int(expires),
        ends=int(ends),
    )


def set_cookie(scope: Scope, value: str, lifetime: int) -> bytes:
    """The value of the ``Set-Cookie`` field that hands a cookie out.

    HttpOnly keeps it from the page's scripts. SameSite=Lax and not Strict, because a link is opened from elsewhere, and
    the redirect that follows must carry it (docs/security.md). No Domain: it goes to this very host only.

    :param lifetime: seconds.
    """
    parts = [f"{scope.name.decode('ascii')}={value}", f"Path={scope.path}", f"Max-Age={lifetime}", "HttpOnly"]
    return "; ".join([*parts, "SameSite=Lax", *(["Secure"] if scope.secure else [])]).encode("ascii")


def find_cookies(field: bytes, name: bytes) -> Iterator[bytes]:
    """The values of a cookie in a ``Cookie`` field: more than one when another page of the host set one by that name.

    >>> list(find_cookies(b"a=1; sandbox-preview=x; sandbox-preview=y", b"sandbox-preview"))
    [b'x', b'y']
    """
    for pair in field.split(b";"):
        found, mark, value = pair.strip(b" \t").partition(b"=")
        if mark and found == name:
            yield value


def without_ours(field: bytes) -> bytes:
    """A ``Cookie`` field without our cookies, under either name; the others stay byte for byte.

    >>> without_ours(b"a=1;  sandbox-preview=x; b=2")
    b'a=1; b=2'
    """
    if _NAME not in field:
        return field
    kept = [pair for pair in field.split(b";") if pair.strip(b" \t").partition(b"=")[0].rstrip(b" \t") not in _NAMES]
    return b";".join(kept).lstrip(b" \t")
