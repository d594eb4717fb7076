"""``sandbox.runtimes.docker.grace``: what was certain holds until the engine answers, and not for long."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import EngineUnavailable
from sandbox.runtimes.docker.grace import Grace


class GraceTests(SynchronousTestCase):
    """By a clock of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.pings: list[Deferred[None]] = []
        self.grace = Grace(self.clock, self.ping, 30)

    def ping(self) -> Deferred[None]:
        self.pings.append(Deferred())
        return self.pings[-1]

    def holds(self) -> Deferred[bool]:
        """Ask."""
        return Deferred.fromCoroutine(self.grace.holds())

    def test_f47_it_does_not_begin_by_itself(self) -> None:
        self.assertFalse(self.successResultOf(self.holds()))
        self.assertEqual(self.pings, [])

    def test_f47_it_holds_while_the_engine_refuses(self) -> None:
        self.grace.begin()
        for _ in range(2):
            holds = [self.holds(), self.holds()]
            self.assertNoResult(holds[0])
            self.pings[-1].errback(EngineUnavailable("refused"))
            self.assertEqual([self.successResultOf(one) for one in holds], [True, True])
        self.assertEqual((len(self.pings), self.clock.getDelayedCalls()), (2, []))

    def test_f47_it_is_over_for_good_with_the_first_answer(self) -> None:
        self.grace.begin()
        holds = self.holds()
        self.pings[0].callback(None)
        self.assertFalse(self.successResultOf(holds))
        self.assertFalse(self.successResultOf(self.holds()))
        self.assertEqual((len(self.pings), self.clock.getDelayedCalls()), (1, []))

    def test_f47_an_engine_that_says_nothing_is_not_waited_for_by_each(self) -> None:
        self.grace.begin()
        first = self.holds()
        self.clock.advance(0.25)
        self.assertTrue(self.successResultOf(first))
        self.assertTrue(self.successResultOf(self.holds()))
        self.assertEqual(len(self.pings), 1)
        self.pings[0].callback(None)
        self.assertFalse(self.successResultOf(self.holds()))

    def test_f47_it_ends(self) -> None:
        self.grace.begin()
        self.clock.advance(30)
        self.assertFalse(self.successResultOf(self.holds()))
        none = Grace(self.clock, self.ping, 0)
        none.begin()
        self.assertFalse(self.successResultOf(Deferred.fromCoroutine(none.holds())))
        self.assertEqual(self.pings, [])
