"""Preview access passes its contract on PostgreSQL, and holds when the server hangs."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from sandbox.policy.access import Credential, Place
from sandbox.stores.postgres.store import PostgresStore
from tests.contracts.access import AccessContract
from tests.policy.jwts import token
from tests.postgres import server


class OnPostgres(AccessContract, TestCase):
    async def make_store(self) -> PostgresStore:
        store = PostgresStore(reactor, server().url(server().make_database()), timeout=1)
        self.addCleanup(store.close)
        return store

    async def test_a_server_that_hangs_keeps_the_door_shut_and_nobody_waiting(self) -> None:
        await self.begin()
        credential = Credential.of(Place.HEADER, token())
        await self.grant(credential)
        server().freeze()
        try:
            await self.grant(credential)
            self.clock.advance(31)
            self.assertEqual(await self.refusal(credential), "Cannot check access right now")
        finally:
            server().thaw()
        self.assertEqual((await self.grant(credential)).user_id, "alice")
