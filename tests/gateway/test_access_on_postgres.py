"""Access control at the gateway on PostgreSQL: contract section 6 over raw sockets."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor

from sandbox.stores.postgres.store import PostgresStore
from tests.gateway.test_access import AccessCase, TableMixin
from tests.postgres import server


class TableOnPostgres(TableMixin, AccessCase):
    """On PostgreSQL."""

    async def make_store(self) -> Any:
        store = PostgresStore(reactor, server().url(server().make_database()))
        self.addCleanup(store.close)
        return store
