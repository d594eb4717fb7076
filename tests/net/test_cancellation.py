"""``sandbox.net.cancellation``: a step that has begun is waited for."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.cancellation import delay_cancellation


class UninterruptedTests(SynchronousTestCase):
    """The wait ends with the work, never before it."""

    def test_result_passes_through(self) -> None:
        self.assertEqual(self.successResultOf(delay_cancellation(succeed(7))), 7)

    def test_failure_passes_through(self) -> None:
        work: Deferred[None] = Deferred()
        waiting = delay_cancellation(work)
        work.errback(ValueError("no"))
        self.failureResultOf(waiting, ValueError)

    def test_a_cancelled_wait_fails_only_when_the_work_is_over(self) -> None:
        work: Deferred[int] = Deferred(lambda _: self.fail("the work was cancelled"))
        waiting = delay_cancellation(work)
        waiting.cancel()
        self.assertNoResult(waiting)
        work.callback(7)
        self.failureResultOf(waiting, CancelledError)

    def test_a_wait_that_is_cancelled_twice_still_waits(self) -> None:
        work: Deferred[int] = Deferred(lambda _: self.fail("the work was cancelled"))
        waiting = delay_cancellation(work)
        for _ in range(3):
            waiting.cancel()
            self.assertNoResult(waiting)
        work.callback(7)
        self.failureResultOf(waiting, CancelledError)

    def test_a_failure_after_a_cancellation_is_not_left_unhandled(self) -> None:
        work: Deferred[int] = Deferred()
        waiting = delay_cancellation(work)
        waiting.cancel()
        work.errback(ValueError("no"))
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_work_that_is_cancelled_by_its_owner_is_over(self) -> None:
        work: Deferred[int] = Deferred()
        waiting = delay_cancellation(work)
        work.cancel()
        self.failureResultOf(waiting, CancelledError)

    def test_a_coroutine_may_clean_up_after_the_step_and_its_caller_waits_for_that(self) -> None:
        step: Deferred[None] = Deferred()
        cleaning: Deferred[None] = Deferred()
        happened: list[str] = []

        async def run() -> None:
            try:
                await delay_cancellation(step)
            except CancelledError:
                happened.append("step over")
                await delay_cancellation(cleaning)
            finally:
                happened.append("cleaned")

        whole = Deferred.fromCoroutine(run())
        whole.cancel()
        self.assertEqual(happened, [])
        step.callback(None)
        self.assertEqual(happened, ["step over"])
        whole.cancel()
        self.assertNoResult(whole)
        cleaning.callback(None)
        self.assertEqual(happened, ["step over", "cleaned"])
        self.failureResultOf(whole, CancelledError)
