"""Remembered answers: one question at a time, bounded, dropped on change."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.read_through_cache import CacheMiss, ReadThroughCache


class AnswersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: list[tuple[str, Deferred[str | None]]] = []
        self.answers: ReadThroughCache[str, str] = ReadThroughCache(
            self.clock, self.ask, keep=30, keep_nothing=2, limit=3
        )

    def ask(self, key: str) -> Deferred[str | None]:
        self.asked.append((key, Deferred()))
        return self.asked[-1][1]

    def refresh(self, key: str, answer: str | None) -> None:
        learned = self.answers.refresh(key)
        self.asked[-1][1].callback(answer)
        self.successResultOf(learned)

    def known(self, key: str) -> bool:
        try:
            self.answers.get(key)
        except CacheMiss:
            return False
        return True

    def test_what_was_never_asked_is_unknown_and_can_be_learned(self) -> None:
        with self.assertRaises(CacheMiss) as caught:
            self.answers.get("a")
        learned = caught.exception.refresh()
        self.asked[0][1].callback("answer")
        self.successResultOf(learned)
        self.assertEqual(self.answers.get("a"), "answer")

    def test_an_answer_is_kept_for_its_time(self) -> None:
        self.refresh("a", "answer")
        self.clock.advance(29.9)
        self.assertTrue(self.known("a"))
        self.clock.advance(0.2)
        self.assertFalse(self.known("a"))

    def test_nothing_is_an_answer_and_kept_for_a_shorter_time(self) -> None:
        self.refresh("a", None)
        self.clock.advance(1.9)
        self.assertIsNone(self.answers.get("a"))
        self.clock.advance(0.2)
        self.assertFalse(self.known("a"))

    def test_many_who_want_the_same_ask_once(self) -> None:
        waiting = [self.answers.refresh("a") for _ in range(5)]
        self.assertEqual(len(self.asked), 1)
        self.asked[0][1].callback("answer")
        for waiter in waiting:
            self.successResultOf(waiter)

    def test_a_failure_reaches_all_who_wait_and_is_not_kept(self) -> None:
        waiting = [self.answers.refresh("a") for _ in range(3)]
        self.asked[0][1].errback(ZeroDivisionError())
        for waiter in waiting:
            self.failureResultOf(waiter, ZeroDivisionError)
        self.refresh("a", "answer")
        self.assertTrue(self.known("a"))

    def test_a_failure_leaves_an_answer_that_still_holds(self) -> None:
        self.refresh("a", "answer")
        learned = self.answers.refresh("a")
        self.asked[-1][1].errback(ZeroDivisionError())
        self.failureResultOf(learned, ZeroDivisionError)
        self.assertEqual(self.answers.get("a"), "answer")

    def test_who_gives_up_leaves_the_others_waiting(self) -> None:
        first, second, third = (self.answers.refresh("a") for _ in range(3))
        # Whoever is answered may make another give up.
        first.addCallback(lambda _: third.cancel())
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertFalse(self.asked[0][1].called)
        self.asked[0][1].callback("answer")
        self.successResultOf(first)
        self.failureResultOf(third, CancelledError)
        self.assertTrue(self.known("a"))

    def test_a_change_drops_the_answer(self) -> None:
        self.refresh("a", "answer")
        self.answers.forget("a")
        self.assertFalse(self.known("a"))
        self.answers.forget("a")

    def test_a_change_while_the_question_is_under_way_asks_anew(self) -> None:
        learned = self.answers.refresh("a")
        self.answers.forget("a")
        self.asked[0][1].callback("before the change")
        self.assertNoResult(learned)
        self.asked[1][1].callback("after the change")
        self.successResultOf(learned)
        self.assertEqual(self.answers.get("a"), "after the change")

    def test_a_change_concerns_many(self) -> None:
        self.refresh("a1", "x")
        self.refresh("b", "x")
        under_way = self.answers.refresh("a2")
        self.answers.forget_where(lambda key: key.startswith("a"))
        self.assertEqual((self.known("a1"), self.known("b")), (False, True))
        self.asked[-1][1].callback("stale")
        self.assertNoResult(under_way)
        self.asked[-1][1].callback("fresh")
        self.successResultOf(under_way)

    def test_the_least_used_go_when_there_are_too_many(self) -> None:
        for key in "abc":
            self.refresh(key, key)
        self.answers.get("a")
        self.refresh("d", "d")
        self.assertEqual([key for key in "abcd" if self.known(key)], ["a", "c", "d"])
