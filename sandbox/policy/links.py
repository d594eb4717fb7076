"""Link tokens in the URLs of preview links. They are signed, so that a forged one causes no look-up in the store."""

from __future__ import annotations

import re

import attrs

from sandbox.policy.signing import SIGNATURE, Signer

# Four dots tell it from a JWT (two) before any signature is verified.
_FORM = re.compile(
    rb"link\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,11})\.[A-Za-z0-9_-]{%d}" % SIGNATURE
)


@attrs.frozen
class LinkToken:
    """Content of a link token. The stored link has the rest, and whether it was revoked.

    :ivar session_id: the session whose preview it opens.
    :ivar expires: expiry, in seconds since the epoch.
    """

    session_id: str
    link_id: str
    expires: int


def write_link(signer: Signer, token: LinkToken) -> str:
    """Encode and sign a token; the text needs no escaping in a URL."""
    return signer.sign(f"link.{token.session_id}.{token.link_id}.{token.expires}")


def read_link(signer: Signer, text: bytes) -> LinkToken | None:
    """The inverse of :func:`write_link`; ``None`` for a text that it did not write."""
    match = _FORM.fullmatch(text)
    if match is None or not signer.genuine(text):
        return None
    session_id, link_id, expires = match.groups()
    return LinkToken(session_id.decode("ascii"), link_id.decode("ascii"), int(expires))
