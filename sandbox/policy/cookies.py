"""The session cookie of previews: issued in exchange for a link or token, short-lived, bound to one session."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator

import attrs

from sandbox.policy.signing import SIGNATURE, Signer

_NAME = b"sandbox-preview"
_HOST_NAME = b"__Host-sandbox-preview"
_NAMES = frozenset({_NAME, _HOST_NAME})

# The subject is a link's id, or a user's id in base64url. Six dots tell it from a JWT (two) and a link token (four).
_FORM = re.compile(
    rb"cookie\.([A-Za-z0-9_-]{1,64})\.(link|user)\.([A-Za-z0-9_-]{1,1400})\.([1-9][0-9]{0,11})\.([1-9][0-9]{0,11})"
    rb"\.[A-Za-z0-9_-]{%d}" % SIGNATURE
)


@attrs.frozen(kw_only=True)
class SessionCookie:
    """Content of a session cookie.

    :ivar link_id: the link that it was exchanged for; ``None`` when it was a token.
    :ivar user_id: the user of the token that it was exchanged for; ``None`` when it was a link.
    :ivar expires: expiry of this cookie, in seconds since the epoch.
    :ivar ends: expiry of the link or token, past which the cookie is never renewed.
    """

    session_id: str
    link_id: str | None = None
    user_id: str | None = None
    expires: int
    ends: int


@attrs.frozen
class Scope:
    """The scope of a preview's cookie in a browser.

    :ivar path: ``/`` on the preview's own host, ``/previews/<id>`` on the shared one.
    :ivar secure: whether the browser came by https.
    """

    path: str
    secure: bool

    @property
    def name(self) -> bytes:
        """The cookie's name, with the ``__Host-`` prefix where it is possible.

        The prefix (RFC 6265bis section 4.1.3.2) requires Secure and the path ``/``. It prevents other previews of the
        same domain from overwriting the cookie.
        """
        return _HOST_NAME if self.secure and self.path == "/" else _NAME


def write_cookie(signer: Signer, cookie: SessionCookie) -> str:
    """Encode and sign a cookie's value."""
    if cookie.link_id is not None:
        kind, subject = "link", cookie.link_id
    else:
        user = (cookie.user_id or "").encode()
        kind, subject = "user", base64.urlsafe_b64encode(user).rstrip(b"=").decode("ascii")
    return signer.sign(f"cookie.{cookie.session_id}.{kind}.{subject}.{cookie.expires}.{cookie.ends}")


def read_cookie(signer: Signer, value: bytes) -> SessionCookie | None:
    """The inverse of :func:`write_cookie`; ``None`` for a value that it did not write."""
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
    """The value of the ``Set-Cookie`` field.

    HttpOnly hides the cookie from scripts. SameSite is Lax, not Strict, because links are opened from other sites and
    the redirect must carry the cookie (docs/security.md). Without Domain, browsers send it to this host only.

    :param lifetime: seconds.
    """
    parts = [f"{scope.name.decode('ascii')}={value}", f"Path={scope.path}", f"Max-Age={lifetime}", "HttpOnly"]
    return "; ".join([*parts, "SameSite=Lax", *(["Secure"] if scope.secure else [])]).encode("ascii")


def find_cookies(field: bytes, name: bytes) -> Iterator[bytes]:
    """The values of a cookie in a ``Cookie`` field; several when another page of the host set the same name.

    >>> list(find_cookies(b"a=1; sandbox-preview=x; sandbox-preview=y", b"sandbox-preview"))
    [b'x', b'y']
    """
    for pair in field.split(b";"):
        found, mark, value = pair.strip(b" \t").partition(b"=")
        if mark and found == name:
            yield value


def without_ours(field: bytes) -> bytes:
    """A ``Cookie`` field without the session cookie, under either name, otherwise byte for byte.

    >>> without_ours(b"a=1;  sandbox-preview=x; b=2")
    b'a=1; b=2'
    """
    if _NAME not in field:
        return field
    kept = [pair for pair in field.split(b";") if pair.strip(b" \t").partition(b"=")[0].rstrip(b" \t") not in _NAMES]
    return b";".join(kept).lstrip(b" \t")
