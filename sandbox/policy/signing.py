"""Keys for one use each, derived from ``JWT_SECRET``, and the texts that are signed with them."""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: Characters of a signature: 32 bytes in base64url without padding (RFC 4648 section 5).
SIGNATURE = 43


class Purpose(enum.Enum):
    """What a key is for. The values go into its derivation: a changed one makes every text signed before worthless."""

    LINK = "sandbox preview link 1"
    COOKIE = "sandbox preview cookie 1"


def derive(secret: bytes, purpose: Purpose) -> bytes:
    """A key of 32 bytes for one purpose (HKDF with SHA-256, RFC 5869; the purpose is its info).

    Keys of two purposes tell nothing of each other or of the secret, so that what is signed with one is never taken for
    what is signed with another, or for a JWT.
    """
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.value.encode("ascii")).derive(secret)


class Signer:
    """Signs texts and knows its own again: ``<text>.<HMAC-SHA256 in base64url>``.

    :param secrets: what the keys come from, newest first; the newest signs, each is good to read.
    """

    def __init__(self, secrets: Sequence[bytes], purpose: Purpose) -> None:
        if not secrets:
            raise ValueError("no secret to derive a key from")
        self._keys = [derive(secret, purpose) for secret in secrets]

    def sign(self, text: str) -> str:
        """The text with its signature behind it."""
        body = text.encode("ascii")
        return (body + b"." + _signature(self._keys[0], body)).decode("ascii")

    def genuine(self, token: bytes) -> bool:
        """Whether a token is a text that :meth:`sign` made, byte for byte.

        The signature is compared as text and in constant time: a base64 that decodes to the same bytes is not the same.
        """
        body, _, signature = token.rpartition(b".")
        if len(signature) != SIGNATURE:
            return False
        # Every key is tried, so that the time taken does not tell which one it was.
        return any([hmac.compare_digest(_signature(key, body), signature) for key in self._keys])


def _signature(key: bytes, body: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(key, body, hashlib.sha256)).rstrip(b"=")
