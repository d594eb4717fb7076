"""Repeated requests get the first one's outcome (the ``Idempotency-Key`` header; issue: exec)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from sandbox.domain.errors import Conflict, ContainerNotFound, EngineUnavailable, Overloaded

T = TypeVar("T")

#: Outcomes that say that nothing was done: the next try with the same key shall do it.
_NOTHING_DONE = (CancelledError, Overloaded, EngineUnavailable, ContainerNotFound)


class IdempotencyKeyUnknown(Conflict):
    """An outcome was asked for of which nothing is known: there was no such request, its caller hung up, or the daemon
    was started anew."""

    code = "IDEMPOTENCY_KEY_UNKNOWN"

    def __init__(self) -> None:
        super().__init__("Nothing is known of a request with this Idempotency-Key")


class IdempotencyMismatch(Conflict):
    """The key was used before with another request."""

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
    """Outcomes kept by key for a while, bounded in number and in bytes; the oldest finished ones go first.

    :param weigh: the bytes that keeping an outcome costs.
    :param keep: seconds that an outcome is kept after its request came.
    """

    def __init__(
        self, clock: IReactorTime, weigh: Callable[[T | Failure], int], *, keep: float, entries: int, capacity: int
    ) -> None:
        self._clock = clock
        self._weigh = weigh
        self._keep = keep
        self._entries = entries
        self._capacity = capacity
        self._held = 0
        self._kept: OrderedDict[tuple[str, str], _Entry[T]] = OrderedDict()

    def run(self, scope: str, key: str, fingerprint: bytes, start: Callable[[], Deferred[T]]) -> Deferred[T]:
        """The outcome of ``start()``, or of the earlier call with the same scope and key.

        Cancelling gives up waiting; the work itself is cancelled when nobody waits for it any more.

        :raises IdempotencyMismatch: when the key came with another fingerprint before.
        """
        self._forget_old()
        place = (scope, key)
        if place in self._kept:
            return self._join(self._kept[place], fingerprint)
        entry = self._kept[place] = _Entry(place, fingerprint, self._clock.seconds() + self._keep)
        waiter = self._wait(entry)
        entry.work = work = start()
        work.addBoth(self._finished, entry)
        return waiter

    def replay(self, scope: str, key: str, fingerprint: bytes) -> Deferred[T]:
        """The outcome of the earlier call with the same scope and key. Nothing is started.

        :raises IdempotencyKeyUnknown: when no such call is known.
        :raises IdempotencyMismatch: when the key came with another fingerprint.
        """
        self._forget_old()
        entry = self._kept.get((scope, key))
        return fail(IdempotencyKeyUnknown()) if entry is None else self._join(entry, fingerprint)

    def _join(self, entry: _Entry[T], fingerprint: bytes) -> Deferred[T]:
        if entry.fingerprint != fingerprint:
            return fail(IdempotencyMismatch())
        if entry.outcome is None:
            return self._wait(entry)
        return fail(entry.outcome) if isinstance(entry.outcome, Failure) else succeed(entry.outcome)

    def forget(self, scope: str) -> None:
        """Know nothing of a scope's calls any more: what comes next is another life of what it names."""
        for entry in [entry for place, entry in self._kept.items() if place[0] == scope]:
            self._drop(entry)

    def _wait(self, entry: _Entry[T]) -> Deferred[T]:
        def give_up(waiter: Deferred[T]) -> None:
            entry.waiting.remove(waiter)
            if not entry.waiting and entry.work is not None:
                # It is being ended, which takes a while; a caller that comes meanwhile has it begun anew.
                self._drop(entry)
                entry.work.cancel()

        waiter: Deferred[T] = Deferred(give_up)
        entry.waiting.append(waiter)
        return waiter

    def _finished(self, outcome: T | Failure, entry: _Entry[T]) -> None:
        waiting, entry.waiting, entry.work = entry.waiting, [], None
        if isinstance(outcome, Failure) and outcome.check(*_NOTHING_DONE):
            self._drop(entry)
        elif self._kept.get(entry.place) is entry:
            if isinstance(outcome, Failure):
                outcome.cleanFailure()
            entry.outcome, entry.size = outcome, self._weigh(outcome)
            self._held += entry.size
            self._forget_old()
        for waiter in waiting:
            waiter.callback(outcome)

    def _drop(self, entry: _Entry[T]) -> None:
        if self._kept.get(entry.place) is entry:
            del self._kept[entry.place]
            self._held -= entry.size

    def _forget_old(self) -> None:
        now = self._clock.seconds()
        for entry in list(self._kept.values()):
            full = len(self._kept) > self._entries or self._held > self._capacity
            if entry.until > now and not full:
                break
            if entry.outcome is not None:
                self._drop(entry)
