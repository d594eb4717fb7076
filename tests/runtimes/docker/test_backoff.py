"""Containers that get no calls of one kind for a while."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.runtimes.docker.backoff import Backoff


class BackoffTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.backoff = Backoff(self.clock, 30)

    def test_it_lasts_for_its_time_and_begins_anew(self) -> None:
        self.assertNotIn("c", self.backoff)
        self.backoff.start("c")
        self.clock.advance(20)
        self.backoff.start("c")
        self.clock.advance(29)
        self.assertIn("c", self.backoff)
        self.clock.advance(1)
        self.assertNotIn("c", self.backoff)

    def test_it_may_end_before(self) -> None:
        self.backoff.start("c")
        self.backoff.end("c")
        self.backoff.end("other")
        self.assertNotIn("c", self.backoff)

    def test_nothing_is_kept_of_those_that_are_over(self) -> None:
        self.backoff.start("c")
        self.clock.advance(30)
        self.backoff.start("d")
        self.assertEqual(list(self.backoff._until), ["d"])
