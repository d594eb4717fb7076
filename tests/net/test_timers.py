"""Timed calls."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.timers import Timer, sleep, timer


class Timers(SynchronousTestCase):
    """On a clock that a test moves."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls: list[object] = []

    def test_it_calls_once(self) -> None:
        one = timer(self.clock, 2, self.calls.append, "a")
        self.assertTrue(one.active)
        self.clock.pump([1, 1, 5])
        self.assertEqual((self.calls, one.active), (["a"], False))

    def test_starting_again_replaces_what_is_due(self) -> None:
        one = timer(self.clock, 2, self.calls.append, "a")
        self.clock.advance(1)
        one.start(2, self.calls.append, "b")
        self.clock.pump([1, 1])
        self.assertEqual(self.calls, ["b"])

    def test_stopping_it_is_safe_at_any_time(self) -> None:
        one = Timer(self.clock)
        one.stop()
        one.start(1, self.calls.append, "a")
        one.stop()
        one.stop()
        self.clock.advance(2)
        self.assertEqual(self.calls, [])
        one.start(1, one.stop)
        self.clock.advance(1)
        self.assertFalse(one.active)

    def test_a_moment_that_has_passed_is_the_next_turn(self) -> None:
        timer(self.clock, -5, self.calls.append, "a")
        self.assertEqual(self.calls, [])
        self.clock.advance(0)
        self.assertEqual(self.calls, ["a"])

    def test_sleeping_ends_when_it_is_cancelled(self) -> None:
        slept, cancelled = sleep(self.clock, 1), sleep(self.clock, 1)
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.clock.advance(1)
        self.successResultOf(slept)
        self.assertEqual(self.clock.getDelayedCalls(), [])
