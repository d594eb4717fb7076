"""The queue of what is put off, and when a connection is read (F32)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.fairness import TURN, Intake, RunQueue
from tests.turns import TurningClock


class Queue(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurningClock()
        self.queue = RunQueue.of(self.clock)
        self.done: list[str] = []

    def step(self, name: str, times: int = 1, takes: float = 0.0) -> Callable[[], None]:
        """A step that adds itself again, and takes its time."""

        def step() -> None:
            nonlocal times
            self.done.append(name)
            self.clock.rightNow += takes
            times -= 1
            if times:
                self.queue.add(step)

        return step

    def turn(self) -> str:
        """What is done in the next turn."""
        self.done.clear()
        self.clock.turn()
        return "".join(self.done)

    def test_a_reactor_has_one(self) -> None:
        self.assertIs(RunQueue.of(self.clock), self.queue)
        self.assertIsNot(RunQueue.of(TurningClock()), self.queue)

    def test_f32_each_has_its_turn_and_comes_again_in_the_next_one(self) -> None:
        self.queue.add(self.step("a", times=3))
        self.queue.add(self.step("b"))
        self.queue.add(self.step("c", times=2))
        self.assertEqual(self.done, [])
        self.assertEqual([self.turn() for _ in range(4)], ["abc", "ac", "a", ""])
        self.assertEqual((len(self.queue), self.clock.getDelayedCalls()), (0, []))

    def test_f32_a_turn_ends_when_its_time_is_up_and_the_next_one_begins_with_those_that_waited(self) -> None:
        for name in "abcde":
            self.queue.add(self.step(name, times=2, takes=TURN / 2))
        self.assertEqual([self.turn() for _ in range(5)], ["ab", "cd", "ea", "bc", "de"])

    def test_one_that_fails_harms_no_other(self) -> None:
        self.queue.add(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        self.queue.add(self.step("a"))
        self.assertEqual(self.turn(), "a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class Reading(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurningClock()
        self.read = True
        self.left = 0
        self.intake = Intake(RunQueue.of(self.clock), self, self.work)

    def pauseProducing(self) -> None:
        self.read = False

    def resumeProducing(self) -> None:
        self.read = True

    def work(self) -> None:
        self.left -= 1
        if self.left:
            self.intake.fall_behind()

    def state(self) -> tuple[bool, int]:
        """Whether it is read, and how much is left to do, after a turn."""
        self.clock.turn()
        self.assertEqual(self.read, self.intake.reading)
        return self.read, self.left

    def test_f32_nothing_is_read_until_all_that_was_read_is_done(self) -> None:
        self.left = 3
        self.intake.fall_behind()
        self.assertFalse(self.read)
        self.assertEqual([self.state() for _ in range(3)], [(False, 2), (False, 1), (True, 0)])

    def test_a_consumer_that_is_full_stops_the_work_too(self) -> None:
        self.left = 3
        self.intake.fall_behind()
        self.intake.pause()
        self.assertEqual([self.state() for _ in range(2)], [(False, 3)] * 2)
        self.intake.resume()
        self.intake.pause()
        self.intake.resume()
        self.assertEqual([self.state() for _ in range(3)], [(False, 2), (False, 1), (True, 0)])

    def test_a_consumer_may_become_full_by_the_last_of_the_work(self) -> None:
        self.left = 1
        self.intake.fall_behind()
        self.work = self.intake.pause  # type: ignore[method-assign]
        self.intake._work = self.work
        self.assertEqual(self.state(), (False, 1))
        self.intake.resume()
        self.assertEqual(self.state(), (True, 1))

    def test_when_the_connection_is_gone_the_transport_is_left_alone(self) -> None:
        self.left = 3
        self.intake.fall_behind()
        self.intake.close()
        self.intake.pause()
        self.intake.fall_behind()
        self.intake.resume()
        self.clock.turn()
        self.assertEqual((self.read, self.left), (False, 3))
