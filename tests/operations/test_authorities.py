"""What open connections lean on ends in time."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.operations.authorities import Authorities, Authority


class AuthoritiesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.authorities = Authorities(self.clock, self.clock.seconds)
        self.ended: list[str] = []

    def hold(self, name: str, session: str = "s1", link: str | None = None, ends: float | None = None) -> Authority:
        authority = self.authorities.hold(session, link, ends)
        authority.on_end(lambda: self.ended.append(name))
        return authority

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
        self.assertEqual(len(self.authorities), 1)

    def test_a_revoked_link_ends_what_it_let_in_and_nothing_else(self) -> None:
        self.hold("by link", link="k1")
        self.hold("again", link="k1")
        self.hold("by another", link="k2")
        self.hold("by token")
        self.hold("elsewhere", session="s2", link="k1")
        self.authorities.end_link("s1", "k1")
        self.assertEqual(sorted(self.ended), ["again", "by link"])

    def test_a_deleted_session_ends_all_of_it_and_nothing_else(self) -> None:
        self.hold("by link", link="k1")
        self.hold("by token", ends=5000)
        self.hold("elsewhere", session="s2")
        self.authorities.end_session("s1")
        self.assertEqual(sorted(self.ended), ["by link", "by token"])
        self.authorities.end_session("unknown")

    def test_what_was_released_is_not_called(self) -> None:
        authority = self.hold("released", ends=1001)
        authority.release()
        authority.release()
        self.authorities.end_session("s1")
        self.clock.advance(10)
        self.assertEqual((self.ended, authority.ended), ([], False))

    def test_who_comes_after_the_end_is_called_at_once_and_once(self) -> None:
        authority = self.authorities.hold("s1", "k1", None)
        self.authorities.end_link("s1", "k1")
        self.assertTrue(authority.ended)
        authority.on_end(lambda: self.ended.append("late"))
        self.authorities.end_session("s1")
        self.assertEqual(self.ended, ["late"])

    def test_what_outlives_its_request_has_the_same_right(self) -> None:
        first = self.hold("request", link="k1", ends=1010)
        second = first.again()
        second.on_end(lambda: self.ended.append("socket"))
        first.release()
        self.clock.pump([0.5] * 22)
        self.assertEqual(self.ended, ["socket"])

    def test_what_has_ended_is_not_had_again(self) -> None:
        first = self.authorities.hold("s1", "k1", None)
        self.authorities.end_link("s1", "k1")
        self.assertTrue(first.again().ended)
        self.assertEqual(len(self.authorities), 0)

    def test_ending_may_release_and_end_others(self) -> None:
        first, second = (self.authorities.hold("s1", "k1", None) for _ in range(2))
        for one, other in ((first, second), (second, first)):
            one.on_end(lambda other=other: (self.ended.append("x"), other.release()))  # type: ignore[misc]
        self.authorities.end_link("s1", "k1")
        self.assertEqual(len(self.authorities), 0)

    def test_one_that_fails_does_not_keep_the_others(self) -> None:
        for _ in range(2):
            self.authorities.hold("s1", None, None).on_end(lambda: 1 / 0)
        self.hold("fine")
        self.authorities.end_session("s1")
        self.assertEqual(self.ended, ["fine"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_the_clock_is_left_alone_while_nothing_is_held(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.hold("x").release()
        self.clock.advance(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.hold("y")
        self.clock.pump([1] * 5)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.authorities.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.authorities.close()
