"""Work that must come to its end once it has begun, whoever stops waiting for it."""

from __future__ import annotations

from typing import TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def delay_cancellation(work: Deferred[T]) -> Deferred[T]:
    """Wait for ``work`` even when the waiting is cancelled; it then fails with ``CancelledError``, but not earlier.

    ``work`` itself is never cancelled. In a coroutine this is what makes it safe to clean up after a step: when the
    ``CancelledError`` arrives, the step is over.
    """
    ended: Deferred[None] = Deferred()
    waiting: Deferred[T] = Deferred()

    def end(result: T | Failure) -> None:
        ended.callback(None)
        # After a cancellation nobody looks at the result; a failure must not be reported as unhandled then.
        if not waiting.called:
            waiting.callback(result)

    def wait(failure: Failure) -> Failure | Deferred[T]:
        if not failure.check(CancelledError) or ended.called:
            return failure
        return delay_cancellation(ended).addBoth(lambda _: failure)

    waiting.addErrback(wait)
    work.addBoth(end)
    return waiting
