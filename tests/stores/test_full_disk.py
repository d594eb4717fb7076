"""A SQLite store on a disk that is full: deletions are written all the same, readiness tells the truth (F35)."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import StoreUnavailable
from sandbox.domain.model import Phase
from sandbox.stores.sqlite.store import SqliteStore
from tests.contracts.store import link, session
from tests.small_disk import SmallDisk
from tests.stores.aggregates import using

RESERVE = 8 << 20
FULL = "The database's disk is full"


class FullDiskTests(TestCase):
    """A disk of its own for each."""

    timeout = 120

    async def setUp(self) -> None:
        self.disk = await deferToThread(SmallDisk, 24)
        self.addCleanup(deferToThread, self.disk.close)

    async def store(self, **options: Any) -> SqliteStore:
        """An open store on it."""
        store = SqliteStore(reactor, str(self.disk.root / "state" / "sandbox.db"), **options)
        self.addCleanup(store.close)
        await store.open()
        await store.acquire_lease()
        return store

    def reserved(self, store: SqliteStore) -> int:
        """Bytes that are kept for deletions."""
        with contextlib.suppress(FileNotFoundError):
            return os.stat(f"{store.path}-reserve").st_blocks * 512
        return 0

    async def filled(self, store: SqliteStore) -> None:
        """Fill the disk, and the room that SQLite's log has by itself."""
        await using(store).add(session())
        await using(store).add_link(link("revoked"))
        await deferToThread(self.disk.fill)
        await self.refused(store)

    async def refused(self, store: SqliteStore) -> None:
        """Nothing is added any more."""
        with self.assertRaisesRegex(StoreUnavailable, FULL):
            for number in range(10_000):
                await using(store).add(session(f"more-{number}", image="i" * 900))

    async def test_f35_deletions_are_written_and_creations_are_not(self) -> None:
        store = await self.store(reserve=RESERVE)
        self.assertGreaterEqual(self.reserved(store), RESERVE)
        await self.filled(store)
        self.assertTrue(self.reserved(store), "creations do not use it")
        await using(store).replace(attrs.evolve(session(), phase=Phase.DELETING))
        self.assertFalse(self.reserved(store))
        await using(store).remove("s1")
        await using(store).remove_link("revoked")
        self.assertEqual((await using(store).get("s1"), await using(store).get_link("revoked")), (None, None))

    async def test_f35_a_revocation_is_written(self) -> None:
        store = await self.store(reserve=RESERVE)
        await self.filled(store)
        await using(store).remove_link("revoked")
        self.assertIsNone(await using(store).get_link("revoked"))

    async def test_f35_the_room_is_kept_again_when_there_is_some(self) -> None:
        store = await self.store(reserve=RESERVE, write_check=0)
        await self.filled(store)
        await using(store).remove("s1")
        await deferToThread(self.disk.fill)
        with self.assertRaisesRegex(StoreUnavailable, FULL):
            await store.ping()
        self.assertFalse(self.reserved(store))
        self.disk.empty()
        await store.ping()
        self.assertGreaterEqual(self.reserved(store), RESERVE)

    async def test_f35_a_ping_writes_now_and_then_and_tells_what_came_of_it_meanwhile(self) -> None:
        store = await self.store(write_check=3600)
        await store.ping()
        await deferToThread(self.disk.fill)
        await store.ping()
        await store.close()
        again = SqliteStore(reactor, store.path, write_check=3600)
        self.addCleanup(again.close)
        self.disk.empty()
        await again.open()
        await deferToThread(self.disk.fill)
        for _ in range(2):
            with self.assertRaisesRegex(StoreUnavailable, FULL):
                await again.ping()
        self.disk.empty()
        with self.assertRaisesRegex(StoreUnavailable, FULL):
            await again.ping()

    async def test_f35_a_daemon_starts_on_a_full_disk(self) -> None:
        store = await self.store(reserve=RESERVE)
        await self.filled(store)
        await store.close()
        await deferToThread(self.disk.fill)
        again = SqliteStore(reactor, store.path, reserve=RESERVE)
        self.addCleanup(again.close)
        for _ in range(3):
            try:
                await again.open()
                break
            except StoreUnavailable:
                continue
        await again.acquire_lease()
        await using(again).remove("s1")
        self.assertIsNone(await using(again).get("s1"))

    async def test_f35_without_a_reserve_a_full_disk_is_a_failure_and_nothing_is_lost(self) -> None:
        store = await self.store(reserve=0)
        await self.filled(store)
        await deferToThread(self.disk.fill)
        with self.assertRaisesRegex(StoreUnavailable, FULL):
            for _ in range(10_000):
                await using(store).replace(attrs.evolve(session(), phase=Phase.DELETING, image="i" * 900))
        self.disk.empty()
        await using(store).remove("s1")
        self.assertIsNone(await using(store).get("s1"))
