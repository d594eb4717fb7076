"""Preview access passes its contract in memory and on SQLite; ``test_access_on_postgres`` has the third store."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sandbox.policy.access import Credential, Mode, Place
from sandbox.routing.access import Access, Grant, Keys
from sandbox.stores.interface import Work
from sandbox.stores.memory.store import MemoryStore
from sandbox.stores.sqlite.store import SqliteStore
from tests.contracts.access import NOW, AccessContract
from tests.contracts.store import session
from tests.policy.jwts import SECRET, token
from tests.stores.aggregates import using


class InMemory(AccessContract, TestCase):
    async def make_store(self) -> MemoryStore:
        return MemoryStore()


class OnSqlite(AccessContract, TestCase):
    async def make_store(self) -> SqliteStore:
        directory = self.mktemp()
        os.mkdir(directory)
        store = SqliteStore(reactor, os.path.join(directory, "sandbox.db"))
        self.addCleanup(store.close)
        return store


class TwoClocks(TestCase):
    """What is remembered grows old by one clock, credentials end by the other (F31)."""

    async def test_f31_a_wall_clock_that_steps_ends_a_token_and_keeps_no_answer(self) -> None:
        wall = [float(NOW)]
        clock = Clock()
        store = MemoryStore()
        await store.open()
        await using(store).add(session("s1", user_id="alice"))
        access = Access(clock, store, Keys([SECRET], b"s" * 32), now=lambda: wall[0], keep=30)

        async def grant() -> Grant:
            found = access.admit("s1", Mode.OWNER, [Credential.of(Place.HEADER, token(exp=NOW + 600))])
            return await found if isinstance(found, Deferred) else found

        granted = await grant()
        self.assertTrue(access.holds(granted))
        wall[0] += 3600
        self.assertFalse(access.holds(granted))
        wall[0] -= 2 * 3600
        self.assertTrue(access.holds(granted))
        clock.advance(31)
        self.assertFalse(access.holds(granted))


class Counting(MemoryStore):
    """Counts how often an owner is asked for, and answers when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Deferred[str | None]] = []

    def read(self, name: str, work: Work[Any]) -> Deferred[Any]:
        if name != "owner":
            return super().read(name, work)
        self.asked.append(Deferred())
        return self.asked[-1]


class Cost(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = Counting()
        self.access = Access(Clock(), self.store, Keys([SECRET], b"s" * 32), now=lambda: 0, limit=10)

    def test_many_at_once_ask_the_store_once(self) -> None:
        waiting = [
            self.access.admit("s1", Mode.OWNER, [Credential.of(Place.HEADER, token(jti=str(number)))])
            for number in range(50)
        ]
        self.assertEqual(len(self.store.asked), 1)
        self.store.asked[0].callback("alice")
        for found in waiting:
            assert isinstance(found, Deferred)
            self.assertEqual(self.successResultOf(found).user_id, "alice")

    def test_who_hangs_up_meanwhile_leaves_the_others_waiting(self) -> None:
        credentials = [Credential.of(Place.HEADER, token())]
        first, second = (self.access.admit("s1", Mode.OWNER, credentials) for _ in range(2))
        assert isinstance(first, Deferred)
        assert isinstance(second, Deferred)
        first.addErrback(lambda _: None)
        first.cancel()
        self.store.asked[0].callback("alice")
        self.assertEqual(self.successResultOf(second).user_id, "alice")

    def test_forged_tokens_push_out_no_genuine_one(self) -> None:
        verified: list[bytes] = []
        read = self.access._keys.tokens.read
        self.access._keys.tokens.read = lambda text: verified.append(text) or read(text)  # type: ignore[func-returns-value,method-assign]
        good = [Credential.of(Place.HEADER, token())]
        self.access.admit("s1", Mode.PUBLIC, good)
        for number in range(100):
            self.access.admit("s1", Mode.PUBLIC, [Credential.of(Place.HEADER, token(jti=number, key=b"x" * 32))])
        self.access.admit("s1", Mode.PUBLIC, good)
        self.assertEqual(verified.count(token()), 1)
        self.assertEqual(len(verified), 101)
