"""Protection of work against cancellation once it has begun."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def delay_cancellation(work: Deferred[T]) -> Deferred[T]:
    """Return a ``Deferred`` that, when cancelled, fails with ``CancelledError`` only after ``work`` has ended.

    ``work`` itself is never cancelled. This makes clean-up in a coroutine safe: when the ``CancelledError`` arrives,
    the awaited step is over.
    """
    ended: Deferred[None] = Deferred()
    waiting: Deferred[T] = Deferred()

    def end(result: T | Failure) -> None:
        ended.callback(None)
        # After a cancellation the result is discarded; a failure must not be reported as unhandled.
        if not waiting.called:
            waiting.callback(result)

    def wait(failure: Failure) -> Failure | Deferred[T]:
        if not failure.check(CancelledError) or ended.called:
            return failure
        return delay_cancellation(ended).addBoth(lambda _: failure)

    waiting.addErrback(wait)
    work.addBoth(end)
    return waiting
