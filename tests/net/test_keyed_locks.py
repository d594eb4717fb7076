"""``sandbox.net.keyed_locks``: one thing at a time for each key."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import Overloaded
from sandbox.net.keyed_locks import KeyedLocks


class TurnsTests(SynchronousTestCase):
    """KeyedLocks are taken in order, and leave nothing behind."""

    def setUp(self) -> None:
        self.locks = KeyedLocks(2)
        self.began: list[str] = []

    def take(self, key: str, name: str) -> tuple[Deferred[str], Deferred[str]]:
        """Ask for a turn; its work, and the whole."""
        work: Deferred[str] = Deferred()

        async def run() -> str:
            self.began.append(name)
            return await work

        return work, Deferred.fromCoroutine(self.locks.run(key, run))

    def test_one_after_the_other_in_order(self) -> None:
        first, one = self.take("k", "first")
        second, two = self.take("k", "second")
        third, three = self.take("k", "third")
        self.assertEqual(self.began, ["first"])
        first.callback("1")
        self.assertEqual(self.began, ["first", "second"])
        second.callback("2")
        third.callback("3")
        self.assertEqual([self.successResultOf(whole) for whole in (one, two, three)], ["1", "2", "3"])

    def test_other_keys_do_not_wait(self) -> None:
        self.take("k", "first")
        self.take("l", "second")
        self.assertEqual(self.began, ["first", "second"])

    def test_a_failure_ends_the_turn(self) -> None:
        first, one = self.take("k", "first")
        self.take("k", "second")
        first.errback(ValueError("no"))
        self.failureResultOf(one, ValueError)
        self.assertEqual(self.began, ["first", "second"])

    def test_more_than_the_limit_may_not_wait(self) -> None:
        first, _ = self.take("k", "first")
        self.take("k", "second")
        self.take("k", "third")
        error = self.failureResultOf(self.take("k", "fourth")[1], Overloaded).value
        self.assertEqual(error.reason_code, "SESSION_BUSY")
        first.callback("1")
        self.assertNoResult(self.take("k", "fifth")[1])

    def test_cancelling_gives_up_waiting(self) -> None:
        first, _ = self.take("k", "first")
        _, two = self.take("k", "second")
        self.take("k", "third")
        two.cancel()
        self.failureResultOf(two, CancelledError)
        first.callback("1")
        self.assertEqual(self.began, ["first", "third"])

    def test_cancelling_cancels_the_work_and_passes_the_turn_on(self) -> None:
        _, one = self.take("k", "first")
        self.take("k", "second")
        one.cancel()
        self.failureResultOf(one, CancelledError)
        self.assertEqual(self.began, ["first", "second"])

    def test_idle_fires_when_the_last_turn_ends(self) -> None:
        self.successResultOf(self.locks.idle())
        first, _ = self.take("k", "first")
        second, _ = self.take("l", "second")
        idle = self.locks.idle()
        first.callback("1")
        self.assertNoResult(idle)
        second.callback("2")
        self.successResultOf(idle)
