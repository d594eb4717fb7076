"""The PostgreSQL store passes the contract of all stores, and survives what happens to servers."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from sandbox.stores.postgres import PostgresStore
from tests.contracts.store import StoreContract
from tests.postgres import server


class PostgresStoreTests(StoreContract, TestCase):
    """The contract."""

    async def make_store(self) -> PostgresStore:
        return self._store(server().make_database())

    async def reopen(self, store: PostgresStore) -> PostgresStore:
        again = self._store(self.database)
        await again.open()
        return again

    def _store(self, database: str) -> PostgresStore:
        self.database = database
        store = PostgresStore(reactor, server().url(database))
        self.addCleanup(store.close)
        return store
