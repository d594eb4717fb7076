"""Read-through cache of a slow source, with expiry."""

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
    """The cache has no current value. :meth:`refresh` fetches it."""

    def __init__(self, refresh: Callable[[], Deferred[None]]) -> None:
        super().__init__()
        self.refresh = refresh


@attrs.define
class _Question:
    """A fetch in progress.

    :ivar current: whether its result may be cached; false once the key was invalidated meanwhile.
    """

    waiting: deque[Deferred[None]] = attrs.field(factory=deque)
    current: bool = True


class ReadThroughCache(Generic[K, T]):
    """A bounded cache in front of a source: one fetch at a time per key; evicts the least recently used value.

    A failure is never cached and never replaces a value: the waiters get it, and the next call fetches again.

    :param ask: the source. ``None`` is a value, too: the key does not exist.
    :param keep: seconds that a value is kept.
    :param keep_nothing: seconds that ``None`` is kept.
    :param limit: maximum number of values.
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
        """Return the cached value.

        :raises CacheMiss: when there is none, or it has expired.
        """
        kept = self._kept.get(key)
        if kept is None or kept[1] <= self._clock.seconds():
            raise CacheMiss(lambda: self.refresh(key))
        return kept[0]

    def left(self, key: K) -> float:
        """Remaining lifetime of the cached value in seconds; 0 when there is none."""
        kept = self._kept.get(key)
        return 0.0 if kept is None else max(0.0, kept[1] - self._clock.seconds())

    def refresh(self, key: K) -> Deferred[None]:
        """Fetch the value; :meth:`get` returns it once the ``Deferred`` fires. Fails as the source does.

        Cancelling removes this waiter; the fetch continues for the others.
        """
        question = self._asked.get(key)
        if question is None:
            question = self._asked[key] = _Question()
            waiter = self._wait(question)
            self._put(key, question)
            return waiter
        return self._wait(question)

    def forget(self, key: K) -> None:
        """Invalidate a key whose value has changed. A fetch in progress is repeated."""
        self._kept.pop(key, None)
        question = self._asked.get(key)
        if question is not None:
            question.current = False

    def forget_where(self, concerned: Callable[[K], bool]) -> None:
        """Invalidate every key for which ``concerned`` is true, as :meth:`forget` does."""
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
        # A waiter's callback may cancel another waiter, which removes itself from the list.
        while question.waiting:
            question.waiting.popleft().callback(None)

    def _failed(self, failure: Failure, key: K, question: _Question) -> None:
        del self._asked[key]
        while question.waiting:
            question.waiting.popleft().errback(failure)
