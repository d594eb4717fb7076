"""The in-memory store passes the contract of all stores."""

from __future__ import annotations

from datetime import timedelta

from twisted.trial.unittest import SynchronousTestCase, TestCase

from sandbox.domain.errors import Overloaded
from sandbox.stores.memory.store import MemoryLinks, MemoryStore
from sandbox.stores.sql.transactions import run_at_once
from tests.contracts.store import BEGIN, StoreContract, link


class MemoryStoreTests(StoreContract, TestCase):
    """The contract."""

    async def make_store(self) -> MemoryStore:
        return MemoryStore()

    async def reopen(self, store: MemoryStore) -> MemoryStore:
        await store.open()
        return store


class MemoryLinksTests(SynchronousTestCase):
    """What only memory must mind: it is finite."""

    def test_more_links_than_the_limit_are_refused_until_some_have_ended(self) -> None:
        links = MemoryLinks(limit=2)
        run_at_once(links.add(link("l1")))
        run_at_once(links.add(link("l2", expires_at=BEGIN)))
        with self.assertRaises(Overloaded):
            run_at_once(links.add(link("l3")))
        self.assertEqual(run_at_once(links.remove_expired(BEGIN + timedelta(seconds=1))), 1)
        run_at_once(links.add(link("l3")))
        self.assertEqual(run_at_once(links.get("l3")), link("l3"))
