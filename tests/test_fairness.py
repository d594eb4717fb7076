"""The queue of what is put off, and when a connection is read (F32)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.fairness import PAUSE, TURN, Intake, Pacer, RunQueue, one_at_a_time
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

    def test_f32_what_may_be_put_off_is_done_at_once_while_the_turn_has_time(self) -> None:
        for name in "abcd":
            self.queue.soon(self.step(name, takes=TURN / 2))
        self.assertEqual(("".join(self.done), self.queue.spent), ("ab", True))
        self.assertEqual([self.turn() for _ in range(2)], ["cd", ""])
        self.queue.soon(self.step("e"))
        self.assertEqual(self.done, ["e"])

    def test_f32_what_is_done_at_once_may_fail_and_its_time_counts(self) -> None:
        def fails() -> None:
            self.clock.rightNow += TURN
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, self.queue.soon, fails)
        self.queue.soon(self.step("a"))
        self.assertEqual(self.done, [])
        self.assertEqual(self.turn(), "a")

    def test_one_that_fails_harms_no_other(self) -> None:
        self.queue.add(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        self.queue.add(self.step("a"))
        self.assertEqual(self.turn(), "a")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_long_tasks_do_one_step_of_one_of_them_in_each_round(self) -> None:
        cooperator = one_at_a_time(self.queue)
        first = cooperator.cooperate(iter(self.done.append(name) for name in "abcd"))  # type: ignore[func-returns-value]
        cooperator.cooperate(iter(self.done.append(name) for name in "xyz"))  # type: ignore[func-returns-value]
        self.queue.add(self.step("1", times=3))
        self.assertEqual([self.turn() for _ in range(4)], ["a1", "x1", "b1", "y"])
        first.stop()
        self.assertEqual([self.turn() for _ in range(3)], ["z", "", ""])
        self.assertEqual((len(self.queue), self.clock.getDelayedCalls()), (0, []))

    def test_f32_a_task_that_is_stopped_while_it_waits_does_nothing(self) -> None:
        task = one_at_a_time(self.queue).cooperate(iter(self.done.append(name) for name in "ab"))  # type: ignore[func-returns-value]
        task.stop()
        self.assertEqual([self.turn() for _ in range(2)], ["", ""])


class Pace(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurningClock()
        self.pacer = Pacer(self.clock, pause=1.0, together=3)
        self.done: list[int] = []

    def add(self, *owners: int) -> None:
        for owner in owners:
            self.pacer.add(owner, lambda owner=owner: self.done.append(owner))  # type: ignore[misc]

    def test_f32_after_each_pause_a_few_have_their_turn(self) -> None:
        self.add(*range(7))
        counts = []
        for _ in range(4):
            self.clock.advance(1.0)
            counts.append(len(self.done))
        self.assertEqual((counts, self.done), ([3, 6, 7, 7], list(range(7))))
        self.assertEqual((len(self.pacer), self.clock.getDelayedCalls()), (0, []))

    def test_one_that_is_gone_keeps_no_other_waiting(self) -> None:
        self.add(*range(6))
        for owner in range(3):
            self.pacer.discard(owner)
        self.clock.advance(1.0)
        self.assertEqual(self.done, [3, 4, 5])

    def test_f32_a_few_need_not_wait_where_none_waits(self) -> None:
        self.assertEqual([self.pacer.take() for _ in range(5)], [True] * 3 + [False] * 2)
        self.clock.advance(1.0)
        self.assertTrue(self.pacer.take())
        self.add(1)
        self.assertFalse(self.pacer.take())

    def test_one_that_fails_harms_no_other(self) -> None:
        self.pacer.add(0, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        self.add(1)
        self.clock.advance(1.0)
        self.assertEqual((self.done, len(self.flushLoggedErrors(ZeroDivisionError))), ([1], 1))


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

    def test_f32_one_that_rests_is_read_again_after_a_pause(self) -> None:
        self.intake.rest()
        self.intake.rest()
        self.assertEqual((self.read, self.intake.reading), (False, True))
        self.clock.advance(PAUSE)
        self.assertTrue(self.read)

    def test_f32_one_that_rests_is_not_read_for_another_reason(self) -> None:
        self.intake.rest()
        self.intake.pause()
        self.intake.resume()
        self.left = 1
        self.intake.fall_behind()
        self.clock.turn()
        self.assertEqual((self.read, self.left), (False, 0))
        self.clock.advance(PAUSE)
        self.assertTrue(self.read)

    def test_f32_its_consumer_may_be_full_when_it_has_rested(self) -> None:
        self.intake.rest()
        self.intake.pause()
        self.clock.advance(PAUSE)
        self.assertFalse(self.read)
        self.intake.resume()
        self.assertTrue(self.read)

    def test_f32_one_that_is_gone_rests_no_more(self) -> None:
        self.intake.rest()
        self.intake.close()
        self.assertEqual(len(RunQueue.of(self.clock).pacer), 0)
        self.clock.advance(PAUSE)
        self.assertFalse(self.read)

    def test_when_the_connection_is_gone_the_transport_is_left_alone(self) -> None:
        self.left = 3
        self.intake.fall_behind()
        self.intake.close()
        self.intake.pause()
        self.intake.fall_behind()
        self.intake.resume()
        self.clock.turn()
        self.assertEqual((self.read, self.left), (False, 3))
