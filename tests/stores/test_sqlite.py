"""The SQLite store passes the contract of all stores, and survives what happens to files and processes."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import StoreUnavailable
from sandbox.settings import SettingError
from sandbox.stores.sqlite.store import SqliteStore
from tests.contracts.store import StoreContract, ids, link, session
from tests.stores.aggregates import using

#: Adds rows as fast as it can, in the store's own words, and says which are acknowledged.
WRITER = """
import os, sys
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from sandbox.stores.sqlite.store import SqliteStore
from tests.contracts.store import link, session
from tests.stores.aggregates import using

async def write():
    store = SqliteStore(reactor, sys.argv[1])
    await store.open()
    os.write(1, (await store.instance() + "\\n").encode())
    number = 0
    while True:
        id = f"{sys.argv[2]}-{number}"
        await using(store).add(session(id))
        await using(store).add_link(link(id, session_id=id))
        if number % 3 == 0:
            await using(store).remove(id)
            os.write(1, f"-{id}\\n".encode())
        else:
            os.write(1, f"+{id}\\n".encode())
        number += 1

def failed(failure):
    failure.printTraceback()
    reactor.stop()

reactor.callWhenRunning(lambda: Deferred.fromCoroutine(write()).addErrback(failed))
reactor.run()
"""


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


class SqliteFaultTests(TestCase):
    """Files and processes."""

    timeout = 120

    def setUp(self) -> None:
        self.path = os.path.abspath(os.path.join(self.mktemp(), "state", "sandbox.db"))

    def store(self, **limits: Any) -> SqliteStore:
        store = SqliteStore(reactor, self.path, **limits)
        self.addCleanup(store.close)
        return store

    def other_program(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, isolation_level=None, timeout=0)
        self.addCleanup(connection.close)
        return connection

    async def made(self) -> None:
        """A database with a session in it, closed."""
        store = self.store()
        await store.open()
        await using(store).add(session())
        await store.close()

    async def test_the_file_is_the_daemons_alone_and_so_is_its_directory(self) -> None:
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        store = self.store()
        await store.open()
        await using(store).add(session())
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.path)).st_mode), 0o700)
        modes = {
            name: stat.S_IMODE(entry.stat().st_mode)
            for entry in os.scandir(os.path.dirname(self.path))
            for name in [entry.name]
        }
        self.assertEqual(modes, dict.fromkeys(("sandbox.db", "sandbox.db-wal", "sandbox.db-shm"), 0o600))

    async def test_a_directory_and_a_file_that_are_there_keep_their_modes(self) -> None:
        os.makedirs(os.path.dirname(self.path))
        os.chmod(os.path.dirname(self.path), 0o750)
        await self.made()
        os.chmod(self.path, 0o640)
        await self.store().open()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o640)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(self.path)).st_mode), 0o750)

    async def test_every_connection_syncs_each_commit(self) -> None:
        store = self.store(threads=2)
        await store.open()
        meet = threading.Barrier(2, timeout=30)

        def asked(cursor: Any) -> Any:
            meet.wait()  # so each of the two is another thread's connection
            return [cursor.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

        answers = await gatherResults([store._call(asked), store._call(asked)])
        self.assertEqual(answers, [["wal", 2], ["wal", 2]])  # 2 is FULL

    async def test_what_was_acknowledged_is_there_after_the_daemon_was_killed(self) -> None:
        there: set[str] = set()
        gone: set[str] = set()
        instances: set[str] = set()
        for turn in range(4):
            output = await deferToThread(self._write_and_kill, turn)
            instances.add(output[0])
            for line in output[1:]:
                (there if line[0] == "+" else gone).add(line[1:])
        self.assertGreater(len(there), 50)
        self.assertGreater(len(gone), 20)
        self.assertEqual(len(instances), 1)
        store = self.store()
        await store.open()
        kept = set(ids(await using(store).page(None, None, 1_000_000)))
        self.assertEqual(there - kept, set())
        self.assertEqual(gone & kept, set())
        for id in there | gone:
            self.assertEqual(await using(store).get_link(id), link(id, session_id=id) if id in there else None)

    def _write_and_kill(self, turn: int) -> list[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, self.path, f"w{turn}"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},  # the same sandbox that is tested here
        )
        assert process.stdout is not None
        try:
            lines = [process.stdout.readline() for _ in range(30 + 10 * turn)]
            process.send_signal(signal.SIGKILL)
            # The last line may have been cut by the kill; only a whole one is an acknowledgement.
            lines += [line for line in process.stdout if line.endswith("\n")]
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        return [line.strip() for line in lines]

    async def test_another_programs_lock_delays_writes_and_no_reads(self) -> None:
        store = self.store(timeout=2)
        await store.open()
        await using(store).add(session())
        other = self.other_program()
        other.execute("BEGIN IMMEDIATE")
        self.assertEqual(await using(store).owner("s1"), "u1")
        for write in (
            using(store).add(session("s2")),
            using(store).replace(session()),
            using(store).remove("s1"),
            using(store).add_link(link()),
        ):
            await self.assertFailure(write, StoreUnavailable)
        self.assertEqual(await using(store).owner("s1"), "u1")
        other.execute("ROLLBACK")
        await using(store).add(session("s3"))
        self.assertEqual(await using(store).owner("s3"), "u1")

    async def test_a_write_waits_for_another_programs_lock_to_go(self) -> None:
        store = self.store(timeout=30)
        await store.open()
        other = self.other_program()
        other.execute("BEGIN IMMEDIATE")
        write = using(store).add(session())
        reactor.callLater(0.3, other.execute, "COMMIT")
        await write
        self.assertEqual(await using(store).owner("s1"), "u1")

    async def test_a_database_locked_at_the_start_is_unavailable(self) -> None:
        await self.made()
        other = self.other_program()
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        store = self.store(timeout=2)
        error = await self.assertFailure(store.open(), StoreUnavailable)
        self.assertEqual(error.message, f"The database is locked by another program: {self.path}")
        other.close()
        await store.open()
        self.assertEqual(await using(store).owner("s1"), "u1")

    async def test_a_file_that_is_no_database_is_refused_and_untouched(self) -> None:
        os.makedirs(os.path.dirname(self.path))
        _write(self.path, b"my precious notes\n" * 100)
        error = await self.assertFailure(self.store().open(), SettingError)
        self.assertIn(f"DATABASE_URL names {self.path}, which cannot be used", str(error))
        self.assertEqual(_read(self.path), b"my precious notes\n" * 100)

    async def test_a_damaged_database_is_refused_at_the_start(self) -> None:
        store = self.store()
        await store.open()
        await gatherResults([using(store).add(session(f"s{n}", image="i" * 900)) for n in range(100)])
        await store.close()
        _write(self.path, os.urandom(4096 * 10), at=4096 * 5)
        error = await self.assertFailure(self.store().open(), SettingError)
        self.assertIn("damaged", str(error))

    async def test_damage_met_while_running_is_unavailable(self) -> None:
        store = self.store(threads=1)
        await store.open()
        await gatherResults([using(store).add(session(f"s{n}", image="i" * 900)) for n in range(100)])
        self.other_program().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _write(self.path, os.urandom(len(_read(self.path)) - 4096), at=4096)
        await store._call(lambda cursor: cursor.execute("PRAGMA shrink_memory").fetchall())  # forget what was read
        error = await self.assertFailure(using(store).page(None, None, 100), StoreUnavailable)
        self.assertEqual(error.message, "The database file is damaged")

    async def test_a_full_disk_fails_writes_and_says_so(self) -> None:
        store = self.store(threads=1)
        await store.open()
        await using(store).add(session())
        await store._call(lambda cursor: cursor.execute("PRAGMA max_page_count = 1").fetchall())
        with self.assertRaises(StoreUnavailable) as caught:
            for n in range(1000):
                await using(store).add(session(f"more{n}", image="i" * 1000))
        self.assertEqual(caught.exception.message, "The database's disk is full")
        self.assertEqual(await using(store).get("s1"), session())
        await store._call(lambda cursor: cursor.execute("PRAGMA max_page_count = 1000000").fetchall())
        await using(store).add(session("again"))

    async def test_a_path_that_cannot_be_a_file_fails_the_start_and_says_so(self) -> None:
        os.makedirs(self.path)
        error = await self.assertFailure(self.store().open(), StoreUnavailable)
        self.assertIn(f"{self.path}: Is a directory", error.message)
        self.path = "/proc/nowhere/sandbox.db"
        error = await self.assertFailure(self.store().open(), StoreUnavailable)
        self.assertIn(self.path, error.message)

    async def test_a_database_of_a_newer_version_is_refused_and_untouched(self) -> None:
        await self.made()
        other = self.other_program()
        other.execute("INSERT INTO sandbox_schema VALUES (1000, 'future')")
        error = await self.assertFailure(self.store().open(), SettingError)
        self.assertIn("newer version (its schema is 1000", str(error))
        self.assertEqual(other.execute("SELECT id FROM sessions").fetchall(), [("s1",)])

    async def test_a_database_of_another_program_is_refused_and_untouched(self) -> None:
        os.makedirs(os.path.dirname(self.path))
        other = self.other_program()
        other.execute("CREATE TABLE sessions (id TEXT)")
        error = await self.assertFailure(self.store().open(), SettingError)
        self.assertIn("not ours", str(error))
        self.assertEqual(other.execute("SELECT name FROM sqlite_master").fetchall(), [("sessions",)])
        self.assertEqual(other.execute("PRAGMA journal_mode").fetchall(), [("delete",)])

    async def test_a_second_daemon_waits_until_the_first_one_ends(self) -> None:
        first, second = self.store(), self.store()
        for store in (first, second):
            await store.open()
        await first.acquire_lease()
        await first.acquire_lease()
        error = await self.assertFailure(second.acquire_lease(), StoreUnavailable)
        self.assertEqual(error.message, "Another daemon uses the database")
        await first.close()
        await second.acquire_lease()
        self.assertEqual(stat.S_IMODE(os.stat(f"{self.path}-lock").st_mode), 0o600)

    async def test_a_lock_that_cannot_be_made_is_told(self) -> None:
        store = self.store()
        await store.open()
        os.mkdir(f"{self.path}-lock")
        error = await self.assertFailure(store.acquire_lease(), StoreUnavailable)
        self.assertIn("-lock: Is a directory", error.message)

    async def test_two_stores_that_make_one_database_at_once_agree(self) -> None:
        stores = [self.store() for _ in range(4)]
        await gatherResults([store.open() for store in stores])
        self.assertEqual(len(set(await gatherResults([store.instance() for store in stores]))), 1)
        versions = self.other_program().execute("SELECT version FROM sandbox_schema").fetchall()
        self.assertEqual(versions, [(1,)])
        outcomes = await DeferredList([using(store).add(session()) for store in stores], consumeErrors=True)
        self.assertEqual([done for done, _ in outcomes].count(True), 1)

    async def test_no_more_threads_than_allowed_and_none_after_closing(self) -> None:
        before = set(threading.enumerate())
        store = self.store(threads=3)
        await store.open()
        await gatherResults([using(store).add(session(f"s{n}")) for n in range(50)])
        during = set(threading.enumerate()) - before
        self.assertLessEqual(len(during), 3)
        await store.close()
        self.assertFalse(any(thread.is_alive() for thread in during))
        self.assertEqual(os.listdir(os.path.dirname(self.path)), ["sandbox.db"])  # the log is written back
        self.assertEqual([name for name in _open_files() if name.startswith(self.path)], [])

    async def test_a_close_that_comes_while_opening_closes(self) -> None:
        before = set(threading.enumerate())
        store = self.store()
        opened = store.open()
        await store.close()
        await opened
        await self.assertFailure(store.ping(), StoreUnavailable)
        mine = [thread for thread in set(threading.enumerate()) - before if "PoolThread-twisted" not in thread.name]
        self.assertEqual(mine, [])

    async def test_a_failed_start_leaves_no_thread_and_no_open_file(self) -> None:
        os.makedirs(os.path.dirname(self.path))
        _write(self.path, b"x" * 1000)
        before = set(threading.enumerate())
        await self.assertFailure(self.store().open(), SettingError)
        mine = [thread for thread in set(threading.enumerate()) - before if "PoolThread-twisted" not in thread.name]
        self.assertEqual(mine, [])
        self.assertEqual([name for name in _open_files() if name.startswith(self.path)], [])


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _write(path: str, content: bytes, at: int | None = None) -> None:
    with open(path, "wb" if at is None else "r+b") as file:
        file.seek(at or 0)
        file.write(content)


def _open_files() -> list[str]:
    names = []
    for number in os.listdir("/proc/self/fd"):
        try:
            names.append(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            continue
    return names
