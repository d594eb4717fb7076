"""Link tokens: what the URL of a preview link carries. Signed, so that no forged one is ever looked up in a store."""

from __future__ import annotations

import re

import attrs

from sandbox.policy.signing import SIGNATURE, Signer

# A JWT has two dots and this has four: neither can be taken for the other, even before a key is tried.
_FORM = re.compile(
    rb"link\.([A-Za-z0-9_-]{1,64})\.([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,11})\.[A-Za-z0-9_-]{%d}" % SIGNATURE
)


@attrs.frozen
class LinkToken:
    """What a link's token says. The stored link says the rest, and whether it was revoked.

    :ivar session_id: the one session whose preview it opens.
    :ivar expires: seconds since the epoch.
    """

    session_id: str
    link_id: str
    expires: int


def write_link(signer: Signer, token: LinkToken) -> str:
    """The token as text, safe in a URL as it is."""
    return signer.sign(f"link.{token.session_id}.{token.link_id}.{token.expires}")


def read_link(signer: Signer, text: bytes) -> LinkToken | None:
    """The inverse of :func:`write_link`; ``None`` for whatever was not written by it."""
    match = _FORM.fullmatch(text)
    if match is None or not signer.genuine(text):
        return None
    session_id, link_id, expires = match.groups()
    return LinkToken(session_id.decode("ascii"), link_id.decode("ascii"), int(expires))
