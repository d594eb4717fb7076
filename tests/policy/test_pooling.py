"""The book of upstream connections, against a plain model of it."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from sandbox.policy.pooling import Key, PoolLimits, PoolState

LIMITS = PoolLimits(open=3, idle=2, idle_seconds=4.0)
ONE: Key = ("c1", "t1", 3000)
OTHER: Key = ("c1", "t2", 3000)


class Deciding(SynchronousTestCase):
    """Which connection, and which to close."""

    def setUp(self) -> None:
        self.book: PoolState[str] = PoolState(LIMITS)
        for name in ("a", "b"):
            self.book.add(name, "s", ONE)

    def test_the_one_that_was_idle_last_is_taken(self) -> None:
        self.book.release("a", 0)
        self.book.release("b", 1)
        self.assertEqual([self.book.take("s", ONE, 2) for _ in range(3)], ["b", "a", None])

    def test_another_life_of_the_container_or_another_session_gets_none(self) -> None:
        self.book.release("a", 0)
        self.assertIsNone(self.book.take("s", OTHER, 1))
        self.assertIsNone(self.book.take("t", ONE, 1))

    def test_one_that_is_too_old_is_not_taken(self) -> None:
        self.book.release("a", 0)
        self.assertIsNone(self.book.take("s", ONE, 4))
        self.assertEqual(self.book.take("s", ONE, 3.9), "a")

    def test_beyond_the_limit_an_idle_one_makes_room(self) -> None:
        self.assertEqual(self.book.evict_for("s"), (True, None))
        self.book.add("c", "s", ONE)
        self.assertEqual(self.book.evict_for("s"), (False, None))
        self.assertEqual(self.book.evict_for("t"), (True, None))
        self.book.release("b", 0)
        self.assertEqual(self.book.evict_for("s"), (True, "b"))

    def test_too_many_idle_ones_are_closed_oldest_first(self) -> None:
        self.book.add("c", "s", OTHER)
        self.assertEqual([self.book.release(name, now) for now, name in enumerate("abc")], [None, None, "a"])

    def test_one_that_was_forgotten_is_closed_when_it_comes_back(self) -> None:
        self.book.remove("a")
        self.assertEqual(self.book.release("a", 0), "a")


class Sharing(SynchronousTestCase):
    """F41: a client's share of a session's connections, and those that are not counted."""

    def setUp(self) -> None:
        self.book: PoolState[str] = PoolState(PoolLimits(open=8, idle=8))

    def fill(self, client: str | None, prefix: str) -> int:
        """Open connections until no more are to be had."""
        count = 0
        while self.book.evict_for("s", client)[0]:
            self.book.add(f"{prefix}{count}", "s", ONE, client)
            count += 1
        return count

    def test_f41_a_client_that_takes_all_it_can_leaves_a_quarter_to_the_others(self) -> None:
        self.assertEqual((self.fill("greedy", "g"), self.fill("other", "o"), self.fill("third", "t")), (6, 2, 0))

    def test_f41_where_clients_cannot_be_told_apart_they_have_all(self) -> None:
        self.assertEqual(self.fill(None, "n"), 8)

    def test_f41_what_is_given_back_is_no_clients_any_more(self) -> None:
        self.fill("greedy", "g")
        self.assertIsNone(self.book.take("s", ONE, 0, "greedy"))
        self.book.release("g0", 0)
        self.assertEqual(self.book.take("s", ONE, 0, "greedy"), "g0")
        self.book.remove("g1")
        self.assertEqual(self.book.evict_for("s", "greedy"), (True, None))

    def test_f41_idle_connections_do_not_help_a_client_over_its_share(self) -> None:
        self.fill("greedy", "g")
        for name in ("a", "b"):
            self.book.add(name, "s", ONE, "other")
            self.book.release(name, 0)
        self.assertIsNone(self.book.take("s", ONE, 0, "greedy"))
        self.assertEqual(self.book.take("s", ONE, 0, "other"), "b")

    def test_f41_a_connection_that_is_not_counted_takes_no_room(self) -> None:
        self.book.add("probe", "s", ONE, counted=False)
        self.assertEqual(self.fill(None, "n"), 8)
        self.book.remove("probe")
        self.assertEqual(self.book.evict_for("s"), (False, None))
        self.assertEqual(sorted(self.book.of_session("s")), [f"n{number}" for number in range(8)])


class Machine(RuleBasedStateMachine):
    """Any sequence of events keeps the counts true: httpcore's full coverage missed a counting bug."""

    def __init__(self) -> None:
        super().__init__()
        self.book: PoolState[int] = PoolState(LIMITS)
        self.now = 0.0
        self.next = 0
        self.busy: dict[int, tuple[str, Key]] = {}
        self.idle: dict[int, tuple[str, Key, float]] = {}

    @rule(session=st.sampled_from("st"), key=st.sampled_from([ONE, OTHER]))
    def open(self, session: str, key: Key) -> None:
        possible, surplus = self.book.evict_for(session)
        mine = sum(owner == session for owner, _ in self.busy.values())
        resting = sum(owner == session for owner, _, _ in self.idle.values())
        assert possible == (mine < LIMITS.open)
        assert (surplus is not None) == (possible and mine + resting == LIMITS.open)
        if surplus is not None:
            assert self.idle[surplus][0] == session
            del self.idle[surplus]
            self.book.remove(surplus)
        if possible:
            self.book.add(self.next, session, key)
            self.busy[self.next] = (session, key)
            self.next += 1

    @rule(session=st.sampled_from("st"), key=st.sampled_from([ONE, OTHER]))
    def take(self, session: str, key: Key) -> None:
        taken = self.book.take(session, key, self.now)
        young = {
            connection
            for connection, (owner, of, since) in self.idle.items()
            if (owner, of) == (session, key) and self.now - since < LIMITS.idle_seconds
        }
        assert (taken in young) if young else taken is None
        if taken is not None:
            owner, of, _ = self.idle.pop(taken)
            self.busy[taken] = (owner, of)

    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        if self.busy:
            connection = data.draw(st.sampled_from(sorted(self.busy)))
            session, key = self.busy.pop(connection)
            self.idle[connection] = (session, key, self.now)
            surplus = self.book.release(connection, self.now)
            resting = [other for other, entry in self.idle.items() if entry[0] == session]
            assert (surplus is not None) == (len(resting) > LIMITS.idle)
            if surplus is not None:
                assert self.idle[surplus][2] == min(self.idle[other][2] for other in resting)
                del self.idle[surplus]
                self.book.remove(surplus)

    @rule(data=st.data())
    def lose(self, data: st.DataObject) -> None:
        if connections := sorted([*self.busy, *self.idle]):
            connection = data.draw(st.sampled_from(connections))
            self.busy.pop(connection, None)
            self.idle.pop(connection, None)
            for _ in range(2):
                self.book.remove(connection)

    @rule(seconds=st.floats(0, 5))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @invariant()
    def counts_are_true(self) -> None:
        assert self.book.idle_count == len(self.idle)
        assert sorted(self.book.all()) == sorted([*self.busy, *self.idle])
        for session in "st":
            mine = [c for c, entry in [*self.busy.items(), *self.idle.items()] if entry[0] == session]
            assert len(mine) <= LIMITS.open
            assert sorted(self.book.of_session(session)) == sorted(mine)


Machine.TestCase.settings = settings(deadline=None, max_examples=80)
AnySequence = Machine.TestCase
