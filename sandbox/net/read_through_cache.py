"""ReadThroughCache of a slow source, kept for a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs
from cachetools import LRUCache
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class CacheMiss(Exception):
    """No answer is at hand. :meth:`refresh` fetches it."""

    def __init__(self, refresh: Callable[[], Deferred[None]]) -> None:
        super().__init__()
        self.refresh = refresh


@attrs.define
class _Question:
    """One that is being asked.

    :ivar current: whether the answer will still be true when it comes; a change in between makes it worthless.
    """

    waiting: deque[Deferred[None]] = attrs.field(factory=deque)
    current: bool = True


class ReadThroughCache(Generic[K, T]):
    """A bounded memory in front of a source: one question at a time for each key, the least used answers go first.

    A failure is never kept, and never replaces an answer: the waiters get it, and the next asks again.

    :param ask: the source. ``None`` is an answer too: that there is nothing.
    :param keep: seconds that an answer is kept.
    :param keep_nothing: seconds that ``None`` is kept.
    :param limit: answers kept at most.
    """

    def __init__(
        self,
        clock: IReactorTime,
        ask: Callable[[K], Deferred[T | None]],
        *,
        keep: float,
        keep_nothing: float,
        limit: int,
    ) -> None:
        self._clock = clock
        self._ask = ask
        self._keep = keep
        self._keep_nothing = keep_nothing
        # Not one of cachetools' with times of its own: they do not tell how long an answer is still kept.
        self._kept: LRUCache[K, tuple[T | None, float]] = LRUCache(limit)
        self._asked: dict[K, _Question] = {}

    def get(self, key: K) -> T | None:
        """The answer that is kept.

        :raises CacheMiss: when there is none, or it is too old.
        """
        kept = self._kept.get(key)
        if kept is None or kept[1] <= self._clock.seconds():
            raise CacheMiss(lambda: self.refresh(key))
        return kept[0]

    def left(self, key: K) -> float:
        """Seconds that the answer is still kept; 0 when there is none."""
        kept = self._kept.get(key)
        return 0.0 if kept is None else max(0.0, kept[1] - self._clock.seconds())

    def refresh(self, key: K) -> Deferred[None]:
        """Fetch the answer; :meth:`get` has it when the ``Deferred`` fires, or it fails as the source did.

        Cancelling gives up waiting; the question goes on for the others.
        """
        question = self._asked.get(key)
        if question is None:
            question = self._asked[key] = _Question()
            waiter = self._wait(question)
            self._put(key, question)
            return waiter
        return self._wait(question)

    def forget(self, key: K) -> None:
        """Drop the answer: what it is about has changed. A question that is under way is asked anew."""
        self._kept.pop(key, None)
        question = self._asked.get(key)
        if question is not None:
            question.current = False

    def forget_where(self, concerned: Callable[[K], bool]) -> None:
        """Drop every answer whose key is concerned, as :meth:`forget` does."""
        for key in [key for key in (*self._kept, *self._asked) if concerned(key)]:
            self.forget(key)

    def _wait(self, question: _Question) -> Deferred[None]:
        waiter: Deferred[None] = Deferred(question.waiting.remove)
        question.waiting.append(waiter)
        return waiter

    def _put(self, key: K, question: _Question) -> None:
        question.current = True
        self._ask(key).addCallbacks(self._answered, self._failed, (key, question), {}, (key, question), {})

    def _answered(self, answer: T | None, key: K, question: _Question) -> None:
        if not question.current:
            self._put(key, question)
            return
        keep = self._keep_nothing if answer is None else self._keep
        self._kept[key] = (answer, self._clock.seconds() + keep)
        del self._asked[key]
        # One that is called may cancel another, which then takes itself out.
        while question.waiting:
            question.waiting.popleft().callback(None)

    def _failed(self, failure: Failure, key: K, question: _Question) -> None:
        del self._asked[key]
        while question.waiting:
            question.waiting.popleft().errback(failure)
