"""The store that counts passes the contract of all stores, and counts."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase, TestCase

from sandbox.domain.errors import Overloaded, SessionNotFound, StoreUnavailable
from sandbox.net.instruments import PoolUsage
from sandbox.stores.instrumented import InstrumentedStore
from sandbox.stores.memory.store import MemoryStore
from tests.contracts.store import StoreContract, session
from tests.stores.aggregates import using


class MeasuredStoreTests(StoreContract, TestCase):
    """The contract."""

    async def make_store(self) -> InstrumentedStore:
        return InstrumentedStore(MemoryStore())

    async def reopen(self, store: InstrumentedStore) -> InstrumentedStore:
        await store.open()
        return store


class Counts(SynchronousTestCase):
    def setUp(self) -> None:
        self.inner: Any = MemoryStore()
        self.store = InstrumentedStore(self.inner)
        self.successResultOf(self.store.open())

    def count(self, name: str) -> tuple[int, dict[str, int]]:
        calls = self.store.calls[name]
        return sum(calls.durations.counts), dict(calls.errors)

    def test_calls_are_counted_by_their_method(self) -> None:
        self.successResultOf(using(self.store).get("s1"))
        self.successResultOf(using(self.store).get("s1"))
        self.successResultOf(self.store.ping())
        self.assertEqual((self.count("get"), self.count("ping"), self.count("add")), ((2, {}), (1, {}), (0, {})))

    def test_a_call_counts_when_it_ends(self) -> None:
        waiting = Deferred[Any]()
        self.inner.read = lambda name, work: waiting
        found = using(self.store).get("s1")
        self.assertEqual(self.count("get"), (0, {}))
        waiting.callback(None)
        self.assertIsNone(self.successResultOf(found))
        self.assertEqual(self.count("get"), (1, {}))

    def test_what_a_rule_says_is_no_error_and_what_the_database_says_is(self) -> None:
        self.failureResultOf(using(self.store).replace(session("s1")), SessionNotFound)
        self.assertEqual(self.count("replace"), (1, {}))
        for error, word in ((StoreUnavailable("away"), "unavailable"), (Overloaded("too much"), "too many")):
            self.inner.read = lambda name, work, error=error: fail(error)
            self.failureResultOf(using(self.store).owner("s1"), type(error))
            self.assertEqual(self.count("owner")[1][word], 1)

    def test_its_workers_are_the_other_s(self) -> None:
        self.inner = self.store._store = type("Busy", (), {"workers": PoolUsage(4, 3, 2)})()
        workers = self.store.workers
        self.assertEqual((workers.size, workers.busy, workers.waiting), (4, 3, 2))
