"""Per-session mutex with a bounded queue."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed

from sandbox.domain.errors import Overloaded

T = TypeVar("T")


class KeyedLocks:
    """Mutexes by key. A key uses memory only while its lock is held.

    :param limit: maximum number of waiters per key; further ones are refused.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: dict[str, deque[Deferred[None]]] = {}
        self._idle: list[Deferred[None]] = []

    async def run(self, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` while holding the lock of ``key``. Cancelling leaves the queue, or cancels the work.

        :raises Overloaded: when the queue is full.
        """
        await self._take(key)
        try:
            return await work()
        finally:
            self._release(key)

    def idle(self) -> Deferred[None]:
        """Fires when no lock is held."""
        if not self._waiting:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._idle.append(waiting)
        return waiting

    def _take(self, key: str) -> Deferred[None]:
        waiting = self._waiting.get(key)
        if waiting is None:
            self._waiting[key] = deque()
            return succeed(None)
        if len(waiting) >= self._limit:
            raise Overloaded("Too many calls wait for this session", code="SESSION_BUSY")
        turn: Deferred[None] = Deferred(waiting.remove)
        waiting.append(turn)
        return turn

    def _release(self, key: str) -> None:
        waiting = self._waiting[key]
        if waiting:
            waiting.popleft().callback(None)
            return
        del self._waiting[key]
        if not self._waiting:
            idle, self._idle = self._idle, []
            for one in idle:
                one.callback(None)
