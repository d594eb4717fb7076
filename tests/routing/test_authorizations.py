"""What open connections lean on ends in time."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.routing.authorizations import LOOK, Authorization, Authorizations
from sandbox.scheduling.scheduler import Scheduler


class AuthoritiesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.authorizations = Authorizations(self.clock.seconds)
        Scheduler(self.clock).every(LOOK, "authorizations", self.authorizations.end_expired)
        self.ended: list[str] = []

    def hold(self, name: str, session: str = "s1", link: str | None = None, ends: float | None = None) -> Authorization:
        """An authorization that ``name`` leans on."""
        authorization = self.authorizations.make(session, link, ends)
        authorization.attach(lambda: self.ended.append(name))
        return authorization

    def test_each_ends_within_five_seconds_of_its_time_and_not_before(self) -> None:
        self.hold("never")
        self.hold("soon", ends=1010)
        self.hold("later", ends=1020.5)
        self.clock.pump([0.5] * 19)
        self.assertEqual(self.ended, [])
        self.clock.pump([0.5] * 10)
        self.assertEqual(self.ended, ["soon"])
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.ended, ["soon", "later"])
        self.assertEqual(len(self.authorizations), 1)

    def test_a_revoked_link_ends_what_it_let_in_and_nothing_else(self) -> None:
        self.hold("by link", link="k1")
        self.hold("again", link="k1")
        self.hold("by another", link="k2")
        self.hold("by token")
        self.hold("elsewhere", session="s2", link="k1")
        self.authorizations.end_link("s1", "k1")
        self.assertEqual(sorted(self.ended), ["again", "by link"])

    def test_a_deleted_session_ends_all_of_it_and_nothing_else(self) -> None:
        self.hold("by link", link="k1")
        self.hold("by token", ends=5000)
        self.hold("elsewhere", session="s2")
        self.authorizations.end_session("s1")
        self.assertEqual(sorted(self.ended), ["by link", "by token"])
        self.authorizations.end_session("unknown")

    def test_all_that_leans_on_one_ends_with_it(self) -> None:
        authorization = self.hold("first")
        authorization.attach(lambda: self.ended.append("second"))
        authorization.end()
        self.assertEqual(sorted(self.ended), ["first", "second"])

    def test_who_left_is_not_called(self) -> None:
        authorization = self.hold("stays", ends=1001)
        end: Callable[[], None] = lambda: self.ended.append("left")  # noqa: E731
        authorization.attach(end)
        authorization.detach(end)
        authorization.detach(end)
        self.clock.advance(10)
        self.assertEqual(self.ended, ["stays"])

    def test_who_comes_after_the_end_is_called_at_once_and_once(self) -> None:
        authorization = self.hold("before", link="k1")
        self.authorizations.end_link("s1", "k1")
        self.assertTrue(authorization.ended)
        authorization.attach(lambda: self.ended.append("late"))
        self.authorizations.end_session("s1")
        self.assertEqual(self.ended, ["before", "late"])

    def test_who_comes_back_after_a_pause_is_watched_again(self) -> None:
        authorization = self.authorizations.make("s1", None, 1010)
        end: Callable[[], None] = lambda: self.ended.append("back")  # noqa: E731
        authorization.attach(end)
        authorization.detach(end)
        self.clock.pump([1] * 3)
        self.assertFalse(authorization.watched)
        authorization.attach(end)
        self.clock.pump([1] * 8)
        self.assertEqual(self.ended, ["back"])

    def test_ending_one_may_end_others_and_let_new_ones_begin(self) -> None:
        first, second = self.hold("first"), self.hold("second")
        first.attach(second.end)
        second.attach(first.end)
        first.attach(lambda: self.hold("new", session="s1") and None)
        self.authorizations.end_session("s1")
        self.assertEqual(sorted(self.ended), ["first", "second"])
        self.assertEqual(len(self.authorizations), 1)

    def test_one_that_fails_does_not_keep_the_others(self) -> None:
        authorization = self.hold("fine")
        for _ in range(2):
            authorization.attach(lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        self.authorizations.end_session("s1")
        self.assertEqual(self.ended, ["fine"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
