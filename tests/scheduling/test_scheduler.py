"""Periodic jobs."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.scheduling.scheduler import Scheduler


class SchedulerTests(SynchronousTestCase):
    """Jobs on a clock that a test moves."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.scheduler = Scheduler(self.clock)
        self.begun: list[float] = []

    def work(self) -> None:
        """Note when a run begins."""
        self.begun.append(self.clock.seconds())

    def test_it_runs_every_interval(self) -> None:
        self.scheduler.every(10, "job", self.work)
        self.clock.pump([5] * 7)
        self.assertEqual(self.begun, [10, 20, 30])

    def test_it_may_begin_at_once(self) -> None:
        self.scheduler.every(10, "job", self.work, now=True)
        self.clock.advance(10)
        self.assertEqual(self.begun, [0, 10])

    def test_a_run_that_fails_is_logged_and_the_next_one_comes(self) -> None:
        job = self.scheduler.every(10, "job", lambda: 1 / 0)
        self.clock.pump([10, 10])
        self.assertEqual((job.runs, job.failures), (2, 2))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_runs_do_not_overlap_and_missed_beats_are_skipped(self) -> None:
        slow: list[Deferred[None]] = []

        def work() -> Deferred[None]:
            self.work()
            slow.append(Deferred())
            return slow[-1]

        self.scheduler.every(10, "job", work)
        self.clock.pump([10, 10, 10, 5])
        self.assertEqual(self.begun, [10])
        slow[0].callback(None)
        self.clock.advance(5)
        self.assertEqual(self.begun, [10, 40])

    def test_close_waits_for_the_run_that_is_under_way_and_begins_no_other(self) -> None:
        slow: Deferred[None] = Deferred()
        self.scheduler.every(10, "slow", lambda: slow)
        self.scheduler.every(10, "quick", self.work)
        self.clock.advance(10)
        closed = self.scheduler.close()
        self.assertNoResult(closed)
        slow.callback(None)
        self.successResultOf(closed)
        self.clock.advance(100)
        self.assertEqual(self.begun, [10])
        self.assertEqual((self.scheduler.jobs, self.clock.getDelayedCalls()), ((), []))
