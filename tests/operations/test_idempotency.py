"""A repeated request gets the first one's outcome."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import ExecutionFailed, Overloaded
from sandbox.operations.idempotency import IdempotencyCache, IdempotencyKeyUnknown, IdempotencyMismatch


class ReplaysTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.idempotency: IdempotencyCache[str] = IdempotencyCache(
            self.clock, lambda outcome: len(str(outcome)), keep=600, entries=3, capacity=10_000
        )
        self.started: list[Deferred[str]] = []

    def start(self) -> Deferred[str]:
        self.started.append(Deferred())
        return self.started[-1]

    def once(self, key: str = "k", fingerprint: bytes = b"f", scope: str = "s") -> Deferred[str]:
        return self.idempotency.run(scope, key, fingerprint, self.start)

    def test_a_repetition_gets_the_first_outcome_without_a_second_start(self) -> None:
        first = self.once()
        self.started[0].callback("done")
        self.assertEqual(self.successResultOf(first), "done")
        self.assertEqual(self.successResultOf(self.once()), "done")
        self.assertEqual(len(self.started), 1)

    def test_a_repetition_waits_for_a_first_one_that_still_runs(self) -> None:
        first, second = self.once(), self.once()
        self.assertNoResult(second)
        self.started[0].callback("done")
        self.assertEqual((self.successResultOf(first), self.successResultOf(second)), ("done", "done"))

    def test_an_outcome_can_be_asked_for_without_starting_anything(self) -> None:
        self.failureResultOf(self.idempotency.replay("s", "k", b"f"), IdempotencyKeyUnknown)
        first = self.once()
        joined = self.idempotency.replay("s", "k", b"f")
        self.assertNoResult(joined)
        self.failureResultOf(self.idempotency.replay("s", "k", b"other"), IdempotencyMismatch)
        self.failureResultOf(self.idempotency.replay("t", "k", b"f"), IdempotencyKeyUnknown)
        self.started[0].callback("done")
        self.assertEqual((self.successResultOf(first), self.successResultOf(joined)), ("done", "done"))
        self.assertEqual(self.successResultOf(self.idempotency.replay("s", "k", b"f")), "done")
        self.assertEqual(len(self.started), 1)

    def test_of_a_call_that_was_cancelled_nothing_is_known(self) -> None:
        first = self.once()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.failureResultOf(self.idempotency.replay("s", "k", b"f"), IdempotencyKeyUnknown)

    def test_another_body_with_the_same_key_is_refused(self) -> None:
        first = self.once()
        self.failureResultOf(self.once(fingerprint=b"other"), IdempotencyMismatch)
        self.assertNoResult(first)

    def test_keys_are_a_sessions_own(self) -> None:
        first, second = self.once(scope="a"), self.once(scope="b")
        self.assertEqual(len(self.started), 2)
        self.assertNoResult(first)
        self.assertNoResult(second)

    def test_a_failure_of_the_command_is_replayed_too(self) -> None:
        first = self.once()
        self.started[0].errback(ExecutionFailed("no"))
        self.failureResultOf(first, ExecutionFailed)
        self.failureResultOf(self.once(), ExecutionFailed)
        self.assertEqual(len(self.started), 1)

    def test_when_nothing_was_done_the_next_try_does_it(self) -> None:
        first = self.once()
        self.started[0].errback(Overloaded("later"))
        self.failureResultOf(first, Overloaded)
        self.assertNoResult(self.once())
        self.assertEqual(len(self.started), 2)

    def test_the_work_is_cancelled_only_when_nobody_waits_any_more(self) -> None:
        first, second = self.once(), self.once()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertNoResult(second)
        self.assertFalse(self.started[0].called)
        second.cancel()
        self.assertTrue(self.started[0].called)
        self.failureResultOf(second, CancelledError)
        self.once()
        self.assertEqual(len(self.started), 2)

    def test_an_outcome_is_forgotten_after_its_time(self) -> None:
        first = self.once()
        self.started[0].callback("done")
        self.successResultOf(first)
        self.clock.advance(599)
        self.successResultOf(self.once())
        self.clock.advance(2)
        self.assertNoResult(self.once())

    def test_the_oldest_outcomes_go_when_there_are_too_many(self) -> None:
        for number in range(5):
            done = self.once(key=str(number))
            self.started[-1].callback("done")
            self.successResultOf(done)
        self.successResultOf(self.once(key="4"))
        self.assertNoResult(self.once(key="0"))

    def test_outcomes_are_bounded_in_bytes(self) -> None:
        for number in range(2):
            done = self.once(key=str(number))
            self.started[-1].callback("x" * 6000)
            self.successResultOf(done)
        self.successResultOf(self.once(key="1"))
        self.assertNoResult(self.once(key="0"))

    def test_a_caller_that_comes_while_the_work_is_being_ended_has_it_begun_anew(self) -> None:
        ending: list[Deferred[str]] = []
        first = self.idempotency.run("s", "k", b"f", lambda: Deferred(ending.append))
        slow: Deferred[str] = Deferred(lambda _: None)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        second = self.idempotency.run("s", "k2", b"f", lambda: slow)
        second.cancel()
        self.failureResultOf(second, CancelledError)
        third = self.once("k2")
        self.assertNoResult(third)
        self.started[0].callback("anew")
        self.assertEqual(self.successResultOf(third), "anew")

    def test_what_belongs_to_a_session_that_was_deleted_is_forgotten(self) -> None:
        first = self.once()
        self.started[0].callback("done")
        self.successResultOf(first)
        self.idempotency.forget("s")
        self.assertNoResult(self.once())
        self.assertEqual(len(self.started), 2)
