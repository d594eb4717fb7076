"""Many deadlines with one timer."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.deadlines import NEVER, Deadlines


class Client:
    """Something with a deadline, which notes when it was told."""

    def __init__(self, deadline: float, told: Callable[[Client, float], object]) -> None:
        self.deadline = deadline
        self._told = told

    def expired(self, now: float) -> None:
        self._told(self, now)


class Looks(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock, interval=0.5)  # type: ignore[arg-type]
        self.told: list[Client] = []

    def add(self, deadline: float, number: int = 1) -> list[Client]:
        clients = [Client(deadline, lambda client, now: self.told.append(client)) for _ in range(number)]
        for client in clients:
            self.deadlines.add(client)
        return clients

    def test_each_is_told_once_and_not_before(self) -> None:
        (client,) = self.add(10)
        self.add(NEVER)
        self.clock.advance(0.5)
        self.assertEqual(self.told, [])
        self.clock.pump([0.5] * 30)
        self.assertEqual((self.told, client.deadline), ([client], NEVER))

    def test_of_many_at_once_a_few_are_told_before_the_others_have_their_turn(self) -> None:
        """A thousand slow heads run out of time in the same moment; whoever else has something to do comes between."""
        turns: list[int] = []

        def turn() -> None:
            turns.append(len(self.told))
            if len(self.told) < 1000:
                self.clock.callLater(0, turn)

        self.clock.callLater(0.5, turn)
        clients = self.add(0, 1000)
        self.clock.advance(0.5)
        self.assertCountEqual(self.told, clients)
        self.assertLess(max(after - before for before, after in pairwise(turns)), 20)

    def test_who_got_more_time_or_left_meanwhile_is_not_told(self) -> None:
        """The last ones, since which are told first is nobody's to know."""
        clients = self.add(0, 100)

        def meanwhile() -> None:
            self.left = [client for client in clients if client not in self.told]
            self.assertGreater(len(self.left), 50)
            for client in self.left[::2]:
                client.deadline = NEVER
            for client in self.left[1::2]:
                self.deadlines.discard(client)

        # Behind the first few and before the next.
        self.clock.callLater(0.5, lambda: self.clock.callLater(0, meanwhile))
        self.clock.pump([0.5, 0.5, 0.5])
        self.assertEqual(len(self.told) + len(self.left), 100)

    def test_it_goes_on_to_look_after_many_at_once(self) -> None:
        self.add(0, 100)
        self.clock.advance(0.5)
        (late,) = self.add(1)
        self.clock.advance(0.5)
        self.assertIs(self.told[-1], late)

    def test_when_all_are_gone_there_is_no_timer(self) -> None:
        clients = [Client(0, lambda client, now: self.deadlines.discard(client)) for _ in range(100)]
        for client in clients:
            self.deadlines.add(client)
        self.clock.advance(0.5)
        self.assertEqual((len(self.deadlines), self.clock.getDelayedCalls()), (0, []))

    def test_when_the_last_goes_and_another_comes_in_the_same_moment_there_is_one_timer(self) -> None:
        def replace(client: Client, now: float) -> None:
            self.deadlines.discard(client)
            self.add(NEVER)

        self.deadlines.add(Client(0, replace))
        self.clock.advance(0.5)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_one_that_fails_is_logged_and_the_others_have_their_turn(self) -> None:
        def fail(client: Client, now: float) -> None:
            raise ValueError("of the test")

        self.deadlines.add(Client(0, fail))
        self.clock.advance(0.5)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        clients = self.add(0)
        self.clock.advance(0.5)
        self.assertEqual(self.told, clients)
