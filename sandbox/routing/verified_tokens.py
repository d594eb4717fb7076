"""Cache of verified tokens, so that each signature is verified once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

from sandbox.policy.access import Credential

T = TypeVar("T")


class VerifiedTokenCache(Generic[T]):
    """LRU cache of verification results, keyed by the token's digest.

    Forged tokens are cached separately, so that a flood of them evicts no genuine ones.

    :param read: verifies a token and returns its content, or ``None`` when it is not genuine; the result must not
        depend on time.
    :param limit: maximum number of entries of each kind.
    """

    def __init__(self, read: Callable[[bytes], T | None], limit: int) -> None:
        self._read = read
        self._genuine: LRUCache[bytes, T] = LRUCache(limit)
        self._others: LRUCache[bytes, bool] = LRUCache(limit)

    def clear(self) -> None:
        """Remove all entries."""
        self._genuine.clear()
        self._others.clear()

    def read(self, credential: Credential) -> T | None:
        """The content of a token, or ``None`` when it is not genuine."""
        digest = credential.digest
        found = self._genuine.get(digest)
        if found is not None or self._others.get(digest):
            return found
        found = self._read(credential.text)
        if found is not None:
            self._genuine[digest] = found
        else:
            self._others[digest] = True
        return found
