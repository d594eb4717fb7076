"""Verification of the platform's JSON Web Tokens: HS256 only, at a given time (contract section 6)."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import Any

import attrs
import jwt
from jwt.algorithms import HMACAlgorithm

from sandbox.domain.errors import TokenRejected

#: Maximum bytes of a token; longer ones are refused before they are decoded.
TOKEN_LIMIT = 8192
#: Maximum bytes of a user id, as in the stores.
USER_ID_LIMIT = 1024

# Three parts of base64url without padding, the last one an HMAC-SHA256 (RFC 7515 section 2): padded, truncated, empty
# and detached parts are refused before any cryptography.
_COMPACT = re.compile(rb"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]")


class _Hs256(HMACAlgorithm):
    """PyJWT's HMAC with keys that are prepared once at the start, which also logs weak ones."""

    def __init__(self) -> None:
        super().__init__(HMACAlgorithm.SHA256)

    def prepare_key(self, key: str | bytes) -> bytes:
        return key if isinstance(key, bytes) else key.encode()

    def check_key_length(self, key: bytes) -> None:
        return None


# Only this algorithm is registered, whatever a token's header names.
_JWS = jwt.PyJWS(algorithms=[])
_JWS.register_algorithm("HS256", _Hs256())


@attrs.frozen
class Claims:
    """Claims of a genuine token, independent of the current time.

    :ivar user_id: ``sub``, else ``userId``; ``None`` when there is neither, or none that is a valid user id.
    :ivar not_before: ``nbf`` in seconds since the epoch.
    :ivar expires: ``exp`` in seconds since the epoch.
    :ivar malformed: whether the payload violates RFC 7519 (sections 4, 4.1.4 and 4.1.5).
    """

    user_id: str | None = None
    not_before: float | None = None
    expires: float | None = None
    malformed: bool = False


_MALFORMED = Claims(malformed=True)


class Verifier:
    """Verifies the signatures of tokens.

    :param secrets: the platform's HS256 secrets, newest first; a token signed with any of them is genuine.
    :raises ValueError: for a secret that is a public key, a certificate or a JWK, with which anyone could sign
        (CVE-2022-29217).
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._keys = [hmac_key(secret) for secret in secrets]

    def read(self, token: bytes) -> Claims | None:
        """The claims of a token; ``None`` when none of the secrets signed it.

        Times are left to :func:`judge`, so that the result can be cached. Header members that name keys (``kid``,
        ``jwk``, ``jku``, ``x5u``) are ignored; a token with ``crit`` is refused (RFC 7515 section 4.1.11).
        """
        if len(token) > TOKEN_LIMIT or not _COMPACT.fullmatch(token):
            return None
        for key in self._keys:
            try:
                found = _JWS.decode_complete(token, key, algorithms=["HS256"])
            except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
                continue
            return None if "crit" in found["header"] else _claims(found["payload"])
        return None


def hmac_key(secret: bytes) -> bytes:
    """The HMAC key of a secret, as PyJWT prepares it.

    :raises ValueError: as :class:`Verifier` does.
    """
    try:
        return HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(secret)
    except jwt.InvalidKeyError as error:
        raise ValueError(str(error)) from None


def judge(claims: Claims, now: float, leeway: float) -> str:
    """The user of a genuine token that is valid now.

    :param now: seconds since the epoch.
    :param leeway: tolerated clock skew of the platform, in seconds.
    :raises TokenRejected: ``Invalid token`` or ``Token has expired`` (contract section 6).
    """
    if claims.malformed or (claims.not_before is not None and claims.not_before > now + leeway):
        raise invalid()
    if claims.expires is not None and now >= claims.expires + leeway:
        raise expired()
    if claims.user_id is None:
        raise invalid()
    return claims.user_id


def missing() -> TokenRejected:
    """The refusal of a request without a credential."""
    return TokenRejected("Missing or invalid authorization token", code="TOKEN_MISSING")


def invalid() -> TokenRejected:
    """The refusal of a token that is not genuine, or of the wrong kind."""
    return TokenRejected("Invalid token", code="TOKEN_INVALID")


def expired() -> TokenRejected:
    """The refusal of an expired token."""
    return TokenRejected("Token has expired", code="TOKEN_EXPIRED")


def user_id_of(value: object) -> str | None:
    """A claim as a user id: a non-empty text or an integer; ``None`` for any other value.

    >>> user_id_of("u1"), user_id_of(42), user_id_of(True), user_id_of(""), user_id_of(1.0)
    ('u1', '42', None, None, None)
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return None
    return value if 0 < size <= USER_ID_LIMIT else None


def _claims(payload: bytes) -> Claims:
    try:
        found = json.loads(payload.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_number)
        if not isinstance(found, dict):
            return _MALFORMED
        subject = found["sub"] if found.get("sub") is not None else found.get("userId")
        return Claims(user_id_of(subject), _date(found, "nbf"), _date(found, "exp"))
    except (ValueError, OverflowError, RecursionError):
        return _MALFORMED


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        # RFC 7519 section 4 allows to refuse it or to use the last; parsers that differ here could be exploited.
        raise ValueError("a claim stands twice")
    return found


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _date(claims: dict[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2): any JSON number except booleans and infinities."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{name} is not a number")
    seconds = float(value)
    if not math.isfinite(seconds):
        raise ValueError(f"{name} is not finite")
    return seconds
