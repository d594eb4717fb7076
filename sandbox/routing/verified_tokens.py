"""What texts say, remembered, so that each is verified once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import LRUCache

from sandbox.policy.access import Credential

T = TypeVar("T")


class VerifiedTokenCache(Generic[T]):
    """What texts say, remembered by digest, genuine or not; the least used go first.

    Those that are not genuine have a place of their own: whoever sends many of them pushes out nobody else's.

    :param read: what a text says whenever it is read; ``None`` when it is not genuine.
    """

    def __init__(self, read: Callable[[bytes], T | None], limit: int) -> None:
        self._read = read
        self._genuine: LRUCache[bytes, T] = LRUCache(limit)
        self._others: LRUCache[bytes, bool] = LRUCache(limit)

    def clear(self) -> None:
        """Forget all of them."""
        self._genuine.clear()
        self._others.clear()

    def read(self, credential: Credential) -> T | None:
        """What the text says, or ``None``."""
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
