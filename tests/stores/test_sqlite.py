"""The SQLite store passes the contract of all stores, and survives what happens to files."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from sandbox.stores.sqlite import SqliteStore
from tests.contracts.store import StoreContract


class SqliteStoreTests(StoreContract, TestCase):
    """The contract."""

    async def make_store(self) -> SqliteStore:
        return self._store(self.mktemp())

    async def reopen(self, store: SqliteStore) -> SqliteStore:
        again = self._store(store.path)
        await again.open()
        return again

    def _store(self, path: str) -> SqliteStore:
        store = SqliteStore(reactor, path)
        self.addCleanup(store.close)
        return store
