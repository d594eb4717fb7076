"""Concurrency limit with a bounded queue and a timeout, for calls to a database."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from sandbox.domain.errors import Overloaded, StoreUnavailable
from sandbox.net.instruments import PoolUsage
from sandbox.net.timers import Timer
from sandbox.stores.rows import not_open

T = TypeVar("T")


@attrs.define(eq=False)
class _Call:
    work: Callable[[], Deferred[Any]]
    outcome: Deferred[Any]
    timer: Timer
    # The call may start when another one ends: it logs in the context of its own request.
    context: Context = attrs.field(factory=copy_context)


class ConcurrencyLimiter:
    """Runs at most ``size`` calls concurrently.

    The timeout of a caller does not end its call: the caller's ``Deferred`` fires within ``timeout``, or at once when
    it is cancelled, but a call that has begun keeps its slot until it ends, since neither a thread nor a query in
    flight can be interrupted.

    :param size: maximum of concurrent calls.
    :param queue: maximum of calls waiting for a slot; further ones are refused.
    :param timeout: seconds from :meth:`run` until the caller's ``Deferred`` fails.
    """

    def __init__(self, clock: IReactorTime, *, size: int, queue: int, timeout: float) -> None:
        self._clock = clock
        self._size = size
        self._queue = queue
        self._timeout = timeout
        self._open = False
        self._starting = False
        self._running = 0
        self._waiting: dict[_Call, None] = {}
        self._emptied: list[Deferred[None]] = []

    @property
    def workers(self) -> PoolUsage:
        """Slots in use and length of the queue."""
        return PoolUsage(self._size, self._running, len(self._waiting))

    def open(self) -> None:
        """Accept calls."""
        self._open = True

    def close(self) -> Deferred[None]:
        """Refuse new calls and fail those in the queue; fires when those in progress have ended."""
        self._open = False
        for call in list(self._waiting):
            self._settle(call, Failure(not_open()))
        if not self._running:
            return succeed(None)
        emptied: Deferred[None] = Deferred()
        self._emptied.append(emptied)
        return emptied

    def run(self, work: Callable[[], Deferred[T]]) -> Deferred[T]:
        """Call ``work`` when a slot is free.

        :raises Overloaded: when the queue is full.
        :raises StoreUnavailable: when the timeout expires, or while closed.
        """
        if not self._open:
            return fail(not_open())
        if self._running >= self._size and len(self._waiting) >= self._queue:
            return fail(Overloaded("The database has too many calls waiting", code="STORE_BUSY"))
        outcome: Deferred[T] = Deferred(lambda _: self._forget(call))
        call = _Call(work, outcome, Timer(self._clock))
        call.timer.start(self._timeout, self._give_up, call)
        self._waiting[call] = None
        self._start()
        return outcome

    def _start(self) -> None:
        # Work that ends synchronously re-enters this method: leave the next call to the outer loop, so that a long
        # queue of calls that fail at once does not recurse.
        if self._starting:
            return
        self._starting = True
        try:
            while self._waiting and self._running < self._size:
                call = next(iter(self._waiting))
                del self._waiting[call]
                self._running += 1
                maybeDeferred(call.context.run, call.work).addBoth(self._ended, call)
        finally:
            self._starting = False

    def _ended(self, result: Any, call: _Call) -> None:
        self._running -= 1
        self._settle(call, result)
        self._start()
        if not self._running and not self._open:
            emptied, self._emptied = self._emptied, []
            for waiter in emptied:
                waiter.callback(None)

    def _give_up(self, call: _Call) -> None:
        self._settle(call, Failure(StoreUnavailable("The database does not answer")))

    def _settle(self, call: _Call, result: Any) -> None:
        self._forget(call)
        if call.outcome.called:
            return  # cancelled or timed out
        if isinstance(result, Failure):
            call.outcome.errback(result)
        else:
            call.outcome.callback(result)

    def _forget(self, call: _Call) -> None:
        self._waiting.pop(call, None)
        call.timer.stop()
