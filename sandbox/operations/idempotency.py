"""Idempotency: repeated requests with one ``Idempotency-Key`` share the outcome of the first."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import attrs
from cachetools import TLRUCache
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from sandbox.domain.errors import Conflict, ContainerNotFound, EngineUnavailable, Overloaded

T = TypeVar("T")

#: Outcomes without effect: they are not kept, so that a retry with the same key runs the operation.
_NOTHING_DONE = (CancelledError, Overloaded, EngineUnavailable, ContainerNotFound)


class IdempotencyKeyUnknown(Conflict):
    """No outcome is known for the key: there was no such request, its client disconnected, or the daemon restarted."""

    code = "IDEMPOTENCY_KEY_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("Nothing is known of a request with this Idempotency-Key")


class IdempotencyMismatch(Conflict):
    """The key was used before with a different request."""

    code = "IDEMPOTENCY_KEY_REUSED"

    def __init__(self) -> None:
        super().__init__("Idempotency-Key was used with another request body")


@attrs.define(eq=False)
class _Entry(Generic[T]):
    place: tuple[str, str]
    fingerprint: bytes
    until: float
    work: Deferred[T] | None = None
    outcome: T | Failure | None = None
    size: int = 0
    waiting: list[Deferred[T]] = attrs.field(factory=list)


class IdempotencyCache(Generic[T]):
    """Cache of outcomes by key, bounded in time, number and bytes, with least-recently-used eviction.

    :param weigh: the size of an outcome in bytes.
    :param keep: seconds for which an outcome is kept after its request arrived.
    :param entries: maximum number of outcomes, pending ones included.
    :param capacity: maximum bytes of all outcomes.
    """

    def __init__(
        self, clock: IReactorTime, weigh: Callable[[T | Failure], int], *, keep: float, entries: int, capacity: int
    ) -> None:
        self._clock = clock
        self._weigh = weigh
        self._keep = keep
        self._entries = entries
        self._running: dict[tuple[str, str], _Entry[T]] = {}
        self._ended: TLRUCache[tuple[str, str], _Entry[T]] = TLRUCache(
            capacity, ttu=lambda _place, entry, _now: entry.until, timer=clock.seconds, getsizeof=lambda one: one.size
        )

    def run(self, scope: str, key: str, fingerprint: bytes, start: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Return the outcome of ``start()``, or of the earlier call with the same scope and key.

        Cancelling removes this waiter; the work itself is cancelled when its last waiter is removed.

        :raises IdempotencyMismatch: when the key was used with another fingerprint before.
        """
        place = (scope, key)
        known = self._find(place)
        if known is not None:
            return self._join(known, fingerprint)
        entry = self._running[place] = _Entry(place, fingerprint, self._clock.seconds() + self._keep)
        waiter = self._wait(entry)
        entry.work = work = start()
        work.addBoth(self._finished, entry)
        return waiter

    def replay(self, scope: str, key: str, fingerprint: bytes) -> Deferred[T]:
        """Return the outcome of the earlier call with the same scope and key. Starts nothing.

        :raises IdempotencyKeyUnknown: when no such call is known.
        :raises IdempotencyMismatch: when the key was used with another fingerprint.
        """
        known = self._find((scope, key))
        return fail(IdempotencyKeyUnknown()) if known is None else self._join(known, fingerprint)

    def forget(self, scope: str) -> None:
        """Forget the calls of a scope, because the object that it names was replaced."""
        for place in [place for place in (*self._running, *self._ended) if place[0] == scope]:
            self._running.pop(place, None)
            self._ended.pop(place, None)

    def _find(self, place: tuple[str, str]) -> _Entry[T] | None:
        return self._running.get(place) or self._ended.get(place)

    def _join(self, entry: _Entry[T], fingerprint: bytes) -> Deferred[T]:
        if entry.fingerprint != fingerprint:
            return fail(IdempotencyMismatch())
        if entry.outcome is None:
            return self._wait(entry)
        return fail(entry.outcome) if isinstance(entry.outcome, Failure) else succeed(entry.outcome)

    def _wait(self, entry: _Entry[T]) -> Deferred[T]:
        def give_up(waiter: Deferred[T]) -> None:
            entry.waiting.remove(waiter)
            if not entry.waiting and entry.work is not None:
                # Cancellation takes a while; a call with the same key meanwhile starts the work anew.
                self._runs_no_more(entry)
                entry.work.cancel()

        waiter: Deferred[T] = Deferred(give_up)
        entry.waiting.append(waiter)
        return waiter

    def _finished(self, outcome: T | Failure, entry: _Entry[T]) -> None:
        waiting, entry.waiting, entry.work = entry.waiting, [], None
        nothing_done = isinstance(outcome, Failure) and outcome.check(*_NOTHING_DONE)
        if self._runs_no_more(entry) and not nothing_done:
            self._remember(outcome, entry)
        for waiter in waiting:
            waiter.callback(outcome)

    def _runs_no_more(self, entry: _Entry[T]) -> bool:
        """Remove an entry whose work has ended; whether it had not been removed before."""
        wanted = self._running.get(entry.place) is entry
        if wanted:
            del self._running[entry.place]
        return wanted

    def _remember(self, outcome: T | Failure, entry: _Entry[T]) -> None:
        if isinstance(outcome, Failure):
            outcome.cleanFailure()
        entry.outcome, entry.size = outcome, self._weigh(outcome)
        if entry.size <= self._ended.maxsize:
            while self._ended and len(self._running) + len(self._ended) >= self._entries:
                self._ended.popitem()
            self._ended[entry.place] = entry
