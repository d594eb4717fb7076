"""Periodic jobs."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import StoreUnavailable
from sandbox.scheduling.scheduler import JobCounts, Scheduler


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
        self.scheduler.every(10, "job", lambda: 1 / 0)
        self.clock.pump([10, 10])
        self.assertEqual(self.scheduler.counts, {"job": JobCounts(runs=2, failures=2)})
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_a_failure_that_was_foreseen_is_one_line(self) -> None:
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        self.scheduler.every(10, "job", lambda: fail(StoreUnavailable("The database does not answer")))
        self.clock.advance(10)
        self.assertEqual(self.scheduler.counts, {"job": JobCounts(runs=1, failures=1)})
        (event,) = [each for each in events if each["log_namespace"] == "sandbox.scheduling.scheduler"]
        self.assertEqual((event["log_level"], event["error"]), (LogLevel.warn, "The database does not answer"))

    def test_jobs_of_one_name_are_counted_together(self) -> None:
        first = self.scheduler.every(10, "job", self.work)
        self.clock.advance(10)
        first.stop()
        self.scheduler.every(10, "job", self.work)
        self.clock.advance(10)
        self.assertEqual(self.scheduler.counts, {"job": JobCounts(runs=2)})
        self.assertEqual(len(self.scheduler.jobs), 1)

    def test_it_tells_how_late_it_was(self) -> None:
        found: list[float] = []
        job = self.scheduler.every(10, "job", lambda: found.append(job.late))
        for seconds in (10, 13, 7):
            self.clock.advance(seconds)
        self.assertEqual(found, [0, 3, 0])

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

    def test_one_that_is_triggered_runs_at_once_and_keeps_its_beats(self) -> None:
        job = self.scheduler.every(10, "job", self.work)
        self.clock.advance(4)
        job.trigger()
        self.clock.pump([6, 10])
        self.assertEqual(self.begun, [4, 10, 20])

    def test_what_triggers_it_during_a_run_makes_one_more_run(self) -> None:
        slow: list[Deferred[None]] = []

        def work() -> Deferred[None]:
            slow.append(Deferred())
            return slow[-1]

        job = self.scheduler.every(0, "job", work)
        self.assertEqual(self.clock.getDelayedCalls(), [], "it has no beats")
        for _ in range(5):
            job.trigger()
        ended = job.ended()
        self.assertEqual(len(slow), 1)
        slow[0].callback(None)
        self.successResultOf(ended)
        self.assertEqual(len(slow), 2)
        job.trigger()
        stopped = job.stop()
        slow[1].callback(None)
        self.successResultOf(stopped)
        job.trigger()
        self.assertEqual(len(slow), 2, "one that is stopped runs no more")

    def test_one_that_was_never_started_may_be_stopped(self) -> None:
        self.successResultOf(self.scheduler.job(10, "job", self.work).stop())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_giving_up_to_wait_for_a_run_does_not_end_it(self) -> None:
        slow: Deferred[None] = Deferred()
        job = self.scheduler.every(10, "job", lambda: slow, now=True)
        waiting = job.ended()
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        closed = self.scheduler.close()
        self.assertNoResult(closed)
        slow.callback(None)
        self.successResultOf(closed)

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
