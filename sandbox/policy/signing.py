"""Signed texts, with keys for one purpose each derived from ``JWT_SECRET``."""

from __future__ import annotations

import base64
import enum
import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

#: Length of a signature: 32 bytes in base64url without padding (RFC 4648 section 5).
SIGNATURE = 43


class Purpose(enum.Enum):
    """Purpose of a key. The values are input of the derivation: changing one invalidates every text signed before."""

    LINK = "sandbox preview link 1"
    COOKIE = "sandbox preview cookie 1"


def derive(secret: bytes, purpose: Purpose) -> bytes:
    """Derive a 32-byte key for one purpose (HKDF with SHA-256, RFC 5869; the purpose is its info).

    Derived keys are independent of each other and do not reveal the secret, so that a signature for one purpose is
    valid neither for another nor for a JWT.
    """
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.value.encode("ascii")).derive(secret)


class Signer:
    """Signs and verifies texts: ``<text>.<HMAC-SHA256 in base64url>``.

    :param secrets: the secrets to derive keys from, newest first; the newest signs, all of them verify.
    """

    def __init__(self, secrets: Sequence[bytes], purpose: Purpose) -> None:
        if not secrets:
            raise ValueError("no secret to derive a key from")
        self._keys = [derive(secret, purpose) for secret in secrets]

    def sign(self, text: str) -> str:
        """Append the signature to a text."""
        body = text.encode("ascii")
        return (body + b"." + _signature(self._keys[0], body)).decode("ascii")

    def genuine(self, token: bytes) -> bool:
        """Whether :meth:`sign` made a token, byte for byte.

        The signature is compared as text, in constant time: another base64 spelling of the same bytes is refused.
        """
        body, _, signature = token.rpartition(b".")
        if len(signature) != SIGNATURE:
            return False
        # Every key is tried, so that the duration does not reveal which one matched.
        return any([hmac.compare_digest(_signature(key, body), signature) for key in self._keys])


def _signature(key: bytes, body: bytes) -> bytes:
    return base64.urlsafe_b64encode(hmac.digest(key, body, hashlib.sha256)).rstrip(b"=")
