"""What every session store must do. Mix it into a ``TestCase`` that says how to make one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred, DeferredList, gatherResults
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from sandbox.domain.errors import Conflict, InvalidRequest, SessionExists, SessionNotFound, StoreUnavailable
from sandbox.domain.model import Link, Phase, SessionRecord
from sandbox.stores.interface import IStore, Position, Transaction
from tests.stores.aggregates import using

BEGIN = datetime(2026, 1, 25, 12, 0, 0, 123456, UTC)


def session(id: str = "s1", **changes: Any) -> SessionRecord:
    """A record with everything in it."""
    record = SessionRecord(
        id=id,
        user_id="u1",
        image="image:latest",
        phase=Phase.READY,
        created_at=BEGIN,
        updated_at=BEGIN + timedelta(microseconds=1),
        container_id="c" * 64,
    )
    return attrs.evolve(record, **changes)


def link(id: str = "l1", **changes: Any) -> Link:
    """A link of session ``s1``."""
    return attrs.evolve(Link(id=id, session_id="s1", user_id="u1", expires_at=BEGIN + timedelta(hours=1)), **changes)


def ids(records: Sequence[SessionRecord]) -> list[str]:
    """The ids, in order."""
    return [record.id for record in records]


class StoreContract:
    """The suite. A subclass gives

    - ``make_store()``: a store, not open yet, on an empty database of its own, closed when the test ends;
    - ``reopen(store)``: after ``store.close()``, an open store on the same database.
    """

    timeout = 60

    async def opened(self) -> Any:
        """A store, open."""
        store = await self.make_store()
        await store.open()
        return store

    async def test_provides_the_interface(self) -> None:
        verifyObject(IStore, await self.opened())

    async def test_says_whether_it_is_read_only(self) -> None:
        self.assertIs((await self.opened()).read_only, False)

    async def test_it_can_be_claimed_and_again_after_it_was_closed(self) -> None:
        store = await self.opened()
        await store.acquire_lease()
        await store.acquire_lease()
        await store.close()
        await (await self.reopen(store)).acquire_lease()

    async def test_answers_a_ping(self) -> None:
        self.assertIsNone(await (await self.opened()).ping())

    # Sessions

    async def test_get_answers_what_was_added(self) -> None:
        store = await self.opened()
        bare = session("bare", container_id=None, phase=Phase.CREATING)
        self.assertIsNone(await using(store).add(session()))
        await using(store).add(bare)
        self.assertEqual(await using(store).get("s1"), session())
        self.assertEqual(await using(store).get("bare"), bare)

    async def test_every_phase_comes_back(self) -> None:
        store = await self.opened()
        for phase in Phase:
            await using(store).add(session(phase.value, phase=phase))
            self.assertIs((await using(store).get(phase.value)).phase, phase)

    async def test_what_is_not_there_is_none(self) -> None:
        store = await self.opened()
        self.assertIsNone(await using(store).get("s1"))
        self.assertIsNone(await using(store).owner("s1"))
        self.assertEqual(list(await using(store).page(None, None, 10)), [])

    async def test_a_taken_id_is_refused_and_its_row_untouched(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        error = await self.assertFailure(using(store).add(session(user_id="u2")), SessionExists)
        self.assertEqual(error.message, "Session s1 already exists")
        self.assertEqual(await using(store).get("s1"), session())

    async def test_of_concurrent_adds_of_one_id_exactly_one_wins(self) -> None:
        store = await self.opened()
        outcomes = await DeferredList(
            [using(store).add(session(user_id=f"u{n}")) for n in range(20)], consumeErrors=True
        )
        winners = [n for n, (won, _) in enumerate(outcomes) if won]
        self.assertEqual(len(winners), 1)
        for won, failure in outcomes:
            if not won:
                failure.trap(SessionExists)
        self.assertEqual(await using(store).owner("s1"), f"u{winners[0]}")

    async def test_replace_overwrites_the_whole_row(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        await using(store).add(session("other"))
        changed = session(
            user_id="u2",
            image="another",
            phase=Phase.FAILED,
            created_at=BEGIN + timedelta(days=1),
            updated_at=BEGIN + timedelta(days=2),
            container_id=None,
        )
        for _ in range(2):
            self.assertIsNone(await using(store).replace(changed))
            self.assertEqual(await using(store).get("s1"), changed)
        self.assertEqual(await using(store).get("other"), session("other"))

    async def test_replacing_what_is_not_there_is_refused(self) -> None:
        store = await self.opened()
        error = await self.assertFailure(using(store).replace(session()), SessionNotFound)
        self.assertEqual(error.message, "Session s1 not found")
        self.assertIsNone(await using(store).get("s1"))

    async def test_remove_takes_one_row_and_may_be_repeated(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        await using(store).add(session("other"))
        for _ in range(2):
            self.assertIsNone(await using(store).remove("s1"))
            self.assertIsNone(await using(store).get("s1"))
        self.assertEqual(ids(await using(store).page(None, None, 10)), ["other"])

    async def test_a_removed_id_can_be_added_again(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        await using(store).remove("s1")
        await using(store).add(session(user_id="u2"))
        self.assertEqual(await using(store).owner("s1"), "u2")

    async def test_owner_is_the_user_id(self) -> None:
        store = await self.opened()
        await using(store).add(session(user_id="somebody"))
        self.assertEqual(await using(store).owner("s1"), "somebody")

    async def test_a_record_that_was_read_does_not_change(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        before = await using(store).get("s1")
        page = await using(store).page(None, None, 10)
        await using(store).replace(session(phase=Phase.DELETING))
        await using(store).add(session("s2"))
        self.assertEqual(before, session())
        self.assertEqual(list(page), [session()])

    # Values

    async def test_times_come_back_in_utc_to_the_microsecond(self) -> None:
        store = await self.opened()
        india = timezone(timedelta(hours=5, minutes=30))
        moments = [
            datetime(2026, 1, 25, 17, 30, 0, 999999, india),
            datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
            datetime(2400, 2, 29, tzinfo=UTC),
            datetime(2026, 3, 29, 1, 30, 0, 1, UTC),
        ]
        for number, moment in enumerate(moments):
            await using(store).add(session(f"s{number}", created_at=moment, updated_at=moment))
            row = await using(store).get(f"s{number}")
            for read in (row.created_at, row.updated_at):
                self.assertEqual(read, moment)
                self.assertIs(read.tzinfo, UTC)

    async def test_a_transaction_is_committed_as_a_whole(self) -> None:
        store = await self.opened()
        committed: list[str] = []

        async def work(tx: Transaction) -> str:
            await tx.sessions.add(session("s1"))
            await tx.links.add(link("l1", session_id="s1"))
            tx.call_after(lambda: committed.append("s1"))
            self.assertEqual(committed, [])
            found = await tx.sessions.get("s1")
            return str(found and found.id)

        self.assertEqual(await store.transaction("work", work), "s1")
        self.assertEqual(committed, ["s1"])
        self.assertIsNotNone(await using(store).get_link("l1"))

    async def test_what_a_transaction_raises_takes_all_of_it_back(self) -> None:
        store = await self.opened()
        await using(store).add(session("s0"))
        committed: list[str] = []

        async def work(tx: Transaction, error: Exception) -> None:
            await tx.sessions.add(session("s1"))
            await tx.sessions.remove("s0")
            tx.call_after(lambda: committed.append("never"))
            raise error

        for error in (SessionExists("s1"), ZeroDivisionError()):
            await self.assertFailure(store.transaction("work", lambda tx, error=error: work(tx, error)), type(error))
            self.assertEqual(ids(await using(store).page(None, None, 9)), ["s0"])
        self.assertEqual(committed, [])

    async def test_what_follows_a_commit_and_fails_changes_nothing(self) -> None:
        store = await self.opened()
        followed: list[str] = []

        async def work(tx: Transaction) -> None:
            await tx.sessions.add(session("s1"))
            tx.call_after(lambda: 1 / 0)
            tx.call_after(lambda: followed.append("s1"))

        await store.transaction("work", work)
        self.assertEqual(followed, ["s1"])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIsNotNone(await using(store).get("s1"))

    async def test_of_transactions_at_once_none_sees_anothers_half(self) -> None:
        store = await self.opened()

        async def work(tx: Transaction, number: int) -> int:
            await tx.sessions.add(session(f"a{number}"))
            await tx.sessions.add(session(f"b{number}"))
            return len(await tx.sessions.page(None, None, 1000))

        await DeferredList([store.transaction("work", lambda tx, n=n: work(tx, n)) for n in range(20)])
        found = ids(await using(store).page(None, None, 1000))
        self.assertEqual(sorted(found), sorted(f"{which}{n}" for n in range(20) for which in "ab"))

    async def test_a_time_without_a_zone_is_refused(self) -> None:
        store = await self.opened()
        await self.assertFailure(using(store).add(session(created_at=datetime(2026, 1, 1))), ValueError)
        self.assertIsNone(await using(store).get("s1"))

    async def test_any_text_that_is_unicode_comes_back(self) -> None:
        store = await self.opened()
        texts = [
            "Ωμέγα",
            "Ωμέγα ",
            "用户",
            "🙂",
            "e\u0301",
            "é",
            "'; DROP TABLE sessions; --",
            "%s %(id)s ? :id",
            "\\x00\n",
            "",
        ]
        for text in texts:
            await using(store).add(session("id-" + text, user_id=text))
        for text in texts:
            self.assertEqual(await using(store).get("id-" + text), session("id-" + text, user_id=text))
            self.assertEqual(ids(await using(store).page(text, None, 10)), ["id-" + text])

    async def test_ids_are_told_apart_by_case(self) -> None:
        store = await self.opened()
        await using(store).add(session("a", user_id="x"))
        await using(store).add(session("A", user_id="X"))
        self.assertEqual(await using(store).owner("a"), "x")
        self.assertEqual(await using(store).owner("A"), "X")
        self.assertEqual(ids(await using(store).page("x", None, 10)), ["a"])

    async def test_text_that_no_database_keeps_is_refused(self) -> None:
        store = await self.opened()
        for text in ("a\0b", "\ud800", "é" * 513):
            calls = [
                using(store).add(session(text)),
                using(store).add(session(user_id=text)),
                using(store).replace(session(text)),
                using(store).get(text),
                using(store).owner(text),
                using(store).remove(text),
                using(store).page(text, None, 1),
                using(store).page(None, Position(BEGIN, text), 1),
                using(store).add_link(link(text)),
                using(store).add_link(link(session_id=text)),
                using(store).add_link(link(user_id=text)),
                using(store).get_link(text),
                using(store).remove_link(text),
            ]
            for call in calls:
                await self.assertFailure(call, InvalidRequest)
        await using(store).add(session("é" * 512, user_id="é" * 512))

    # Pages

    async def test_pages_are_newest_first_then_by_id(self) -> None:
        store = await self.opened()
        same = ["B", "a", "Z", "é", "-", "_", "10", "9", "用"]
        for id in same:
            await using(store).add(session(id))
        await using(store).add(session("newer", created_at=BEGIN + timedelta(microseconds=1)))
        await using(store).add(session("older", created_at=BEGIN - timedelta(microseconds=1)))
        expected = ["newer", *sorted(same, reverse=True), "older"]
        self.assertEqual(ids(await using(store).page(None, None, 100)), expected)

    async def test_a_page_has_at_most_limit_rows_strictly_after_the_position(self) -> None:
        store = await self.opened()
        for n in range(5):
            await using(store).add(session(f"s{n}", created_at=BEGIN + timedelta(seconds=n // 2)))
        self.assertEqual(ids(await using(store).page(None, None, 2)), ["s4", "s3"])
        self.assertEqual(
            ids(await using(store).page(None, Position(BEGIN + timedelta(seconds=1), "s3"), 2)), ["s2", "s1"]
        )
        self.assertEqual(ids(await using(store).page(None, Position(BEGIN, "s1"), 2)), ["s0"])
        self.assertEqual(list(await using(store).page(None, Position(BEGIN, "s0"), 2)), [])
        self.assertEqual(list(await using(store).page(None, None, 0)), [])

    async def test_a_position_need_not_be_a_row(self) -> None:
        store = await self.opened()
        await using(store).add(session("s1"))
        await using(store).add(session("s3"))
        self.assertEqual(ids(await using(store).page(None, Position(BEGIN, "s2"), 10)), ["s1"])
        elsewhere = Position(BEGIN.astimezone(timezone(timedelta(hours=-8))), "s2")
        self.assertEqual(ids(await using(store).page(None, elsewhere, 10)), ["s1"])

    async def test_pages_are_stable_under_inserts_and_removals(self) -> None:
        store = await self.opened()
        for n in range(9):
            await using(store).add(session(f"s{n}", created_at=BEGIN + timedelta(seconds=n)))
        seen: list[str] = []
        position = None
        for turn in range(20):
            rows = await using(store).page(None, position, 2)
            if not rows:
                break
            seen += ids(rows)
            position = Position(rows[-1].created_at, rows[-1].id)
            await using(store).add(session(f"new{turn}", created_at=BEGIN + timedelta(minutes=1, seconds=turn)))
            await using(store).remove(rows[0].id)
        self.assertEqual(seen, [f"s{n}" for n in reversed(range(9))])

    async def test_a_page_may_be_of_one_user(self) -> None:
        store = await self.opened()
        for n in range(6):
            await using(store).add(session(f"s{n}", user_id=f"u{n % 2}", created_at=BEGIN + timedelta(seconds=n)))
        self.assertEqual(ids(await using(store).page("u1", None, 10)), ["s5", "s3", "s1"])
        self.assertEqual(ids(await using(store).page("u1", Position(BEGIN + timedelta(seconds=5), "s5"), 1)), ["s3"])
        self.assertEqual(list(await using(store).page("nobody", None, 10)), [])

    # Links

    async def test_a_link_comes_back_until_it_is_removed(self) -> None:
        store = await self.opened()
        anybody = link("l2", user_id=None, session_id="s2")
        self.assertIsNone(await using(store).add_link(link()))
        await using(store).add_link(anybody)
        self.assertEqual(await using(store).get_link("l1"), link())
        for _ in range(2):
            self.assertIsNone(await using(store).remove_link("l1"))
            self.assertIsNone(await using(store).get_link("l1"))
        self.assertEqual(await using(store).get_link("l2"), anybody)
        self.assertIsNone(await using(store).get_link("unknown"))

    async def test_a_links_end_comes_back_in_utc_to_the_microsecond(self) -> None:
        store = await self.opened()
        end = datetime(2026, 1, 25, 17, 30, 0, 999999, timezone(timedelta(hours=5, minutes=30)))
        await using(store).add_link(link(expires_at=end))
        read = (await using(store).get_link("l1")).expires_at
        self.assertEqual(read, end)
        self.assertIs(read.tzinfo, UTC)

    async def test_a_second_link_of_an_id_is_refused(self) -> None:
        store = await self.opened()
        await using(store).add_link(link())
        error = await self.assertFailure(using(store).add_link(link(session_id="s2")), Conflict)
        self.assertEqual(error.reason_code, "LINK_EXISTS")
        self.assertEqual(await using(store).get_link("l1"), link())

    async def test_the_links_of_a_session_go_with_it(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        for id, of in (("l1", "s1"), ("l2", "s1"), ("l3", "s2")):
            await using(store).add_link(link(id, session_id=of))
        await using(store).remove("s1")
        self.assertEqual([await using(store).get_link(id) for id in ("l1", "l2")], [None, None])
        self.assertEqual(await using(store).get_link("l3"), link("l3", session_id="s2"))

    async def test_a_session_of_a_used_id_begins_without_links(self) -> None:
        store = await self.opened()
        await using(store).add_link(link())
        await using(store).add(session())
        self.assertIsNone(await using(store).get_link("l1"))

    async def test_an_add_that_was_refused_leaves_the_links(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        await using(store).add_link(link())
        await self.assertFailure(using(store).add(session()), SessionExists)
        self.assertEqual(await using(store).get_link("l1"), link())

    async def test_links_are_swept_when_they_have_ended(self) -> None:
        store = await self.opened()
        now = BEGIN
        for n in (-1, 0, 1):
            await using(store).add_link(link(f"l{n}", expires_at=now + timedelta(microseconds=n)))
        self.assertEqual((await using(store).get_link("l-1")).id, "l-1")
        self.assertEqual(await using(store).remove_expired_links(now), 2)
        self.assertEqual(await using(store).remove_expired_links(now), 0)
        self.assertIsNone(await using(store).get_link("l0"))
        self.assertEqual((await using(store).get_link("l1")).id, "l1")

    # The store's own life

    async def test_rows_and_links_are_there_after_reopening(self) -> None:
        store = await self.opened()
        await using(store).add(session())
        await using(store).add_link(link())
        await store.close()
        store = await self.reopen(store)
        self.assertEqual(await using(store).get("s1"), session())
        self.assertEqual(await using(store).get_link("l1"), link())

    async def test_the_instance_is_made_once_and_kept(self) -> None:
        store = await self.opened()
        names = set(await gatherResults([store.instance() for _ in range(10)]))
        self.assertEqual(len(names), 1)
        self.assertRegex(next(iter(names)), re.compile(r"\A[0-9a-f]{12}\Z"))
        await store.close()
        store = await self.reopen(store)
        self.assertEqual({await store.instance()}, names)

    async def test_instances_of_two_databases_differ(self) -> None:
        first, second = await self.opened(), await self.opened()
        self.assertNotEqual(await first.instance(), await second.instance())

    async def test_before_open_and_after_close_nothing_answers_and_nothing_raises(self) -> None:
        store = await self.make_store()
        for turn in range(2):
            for call in every_call(store):
                self.assertIsInstance(call, Deferred)
                await self.assertFailure(call, StoreUnavailable)
            if not turn:
                await store.open()
                await store.close()

    async def test_open_and_close_may_be_repeated(self) -> None:
        store = await self.opened()
        await store.open()
        await using(store).add(session())
        await store.close()
        await store.close()

    async def test_no_call_raises_synchronously_whatever_it_is_given(self) -> None:
        store = await self.opened()
        naive = datetime(2026, 1, 1)
        calls = [
            lambda: using(store).add(None),
            lambda: using(store).get(None),
            lambda: using(store).replace(None),
            lambda: using(store).remove(None),
            lambda: using(store).owner(None),
            lambda: using(store).page(1, None, 1),
            lambda: using(store).page(None, Position(naive, "s"), 1),
            lambda: using(store).add_link(None),
            lambda: using(store).get_link(None),
            lambda: using(store).remove_link(None),
            lambda: using(store).remove_expired_links(naive),
        ]
        for call in calls:
            outcome = call()
            self.assertIsInstance(outcome, Deferred)
            (result,) = await outcome.addBoth(lambda result: (result,))
            self.assertIsInstance(result, Failure)
        await store.ping()

    async def test_cancelling_ends_the_waiting_and_harms_nothing(self) -> None:
        store = await self.opened()
        calls = [using(store).add(session(f"s{n}")) for n in range(30)]
        for call in calls[::2]:
            call.cancel()
            await call.addErrback(lambda failure: failure.trap(CancelledError))
        await gatherResults(calls[1::2])
        there = set(ids(await using(store).page(None, None, 100)))
        self.assertLessEqual({f"s{n}" for n in range(1, 30, 2)}, there)
        # A cancelled call may have been done, or be done yet until the store is closed, but whole.
        await store.close()
        store = await self.reopen(store)
        for n in range(0, 30, 2):
            await using(store).remove(f"s{n}")
        self.assertEqual(set(ids(await using(store).page(None, None, 100))), {f"s{n}" for n in range(1, 30, 2)})

    async def test_many_calls_at_once_are_all_answered(self) -> None:
        store = await self.opened()
        await gatherResults([using(store).add(session(f"s{n:03}")) for n in range(100)])
        rows = await gatherResults([using(store).get(f"s{n:03}") for n in range(100)])
        self.assertEqual(ids(rows), [f"s{n:03}" for n in range(100)])

    async def test_closing_answers_every_call(self) -> None:
        store = await self.opened()
        calls = [using(store).add(session(f"s{n}")) for n in range(30)]
        closed = store.close()
        outcomes = await DeferredList(calls, consumeErrors=True)
        await closed
        store = await self.reopen(store)
        there = set(ids(await using(store).page(None, None, 100)))
        for n, (done, failure) in enumerate(outcomes):
            if done:
                self.assertIn(f"s{n}", there)
            else:
                failure.trap(StoreUnavailable)
                self.assertNotIn(f"s{n}", there)


def every_call(store: Any) -> list[Deferred[Any]]:
    """One of each call but ``open`` and ``close``."""
    return [
        store.ping(),
        store.instance(),
        using(store).add(session()),
        using(store).get("s1"),
        using(store).replace(session()),
        using(store).remove("s1"),
        using(store).page(None, None, 1),
        using(store).owner("s1"),
        using(store).add_link(link()),
        using(store).get_link("l1"),
        using(store).remove_link("l1"),
        using(store).remove_expired_links(BEGIN),
    ]
