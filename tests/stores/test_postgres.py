"""The PostgreSQL store passes the contract of all stores, and survives what happens to servers and networks."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import uuid
from collections.abc import Callable
from typing import Any

import psycopg2
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import DeferredList, gatherResults
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import SessionExists, StoreUnavailable
from sandbox.settings import SettingError
from sandbox.stores.postgres.store import PostgresStore
from tests.contracts.store import StoreContract, every_call, ids, session
from tests.postgres import PostgresServer, server
from tests.stores.aggregates import using
from tests.waiting import until

#: Seconds. Whatever blocks on these peers blocks for ever, or for the minutes of a TCP timeout.
HANG = 10


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


class Heartbeat:
    """Measures how long the reactor was away from its other work."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last = reactor.seconds()
        self._call = LoopingCall(self._beat)
        self._call.start(0.01)

    def _beat(self) -> None:
        now = reactor.seconds()
        self.longest = max(self.longest, now - self._last)
        self._last = now

    def stop(self) -> float:
        """End it; answers the longest pause in seconds."""
        if self._call.running:
            self._beat()
            self._call.stop()
        return self.longest


class PostgresCase(TestCase):
    """A database of its own on the shared server."""

    timeout = 120

    def setUp(self) -> None:
        self.server = server()
        self.database = self.server.make_database()

    def execute(self, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        return self.server.execute(sql, values, database=self.database)

    def store(self, url: str | None = None, on: Any = reactor, **limits: Any) -> PostgresStore:
        store = PostgresStore(on, url or self.server.url(self.database), **limits)
        self.addCleanup(store.close)
        return store

    async def opened(self, url: str | None = None, **limits: Any) -> PostgresStore:
        store = self.store(url, **limits)
        await store.open()
        return store

    def heartbeat(self) -> Heartbeat:
        """One that ends with the test."""
        heartbeat = Heartbeat()
        self.addCleanup(heartbeat.stop)
        return heartbeat

    async def recovered(self, call: Callable[[], Any]) -> Any:
        """Ask until it answers; the test's timeout ends the asking."""
        while True:
            try:
                return await call()
            except StoreUnavailable:
                await deferLater(reactor, 0.05)

    def connections(self) -> int:
        """How many the server has to the test's database, beside the one that asks."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        return int(self.execute(sql, (self.database,))[0][0])

    def blocked(self) -> int:
        """How many calls wait in the server for a lock of the sessions table."""
        sql = "SELECT count(*) FROM pg_locks WHERE relation = 'sessions'::regclass AND NOT granted"
        return int(self.execute(sql)[0][0])

    async def locked(self, store: PostgresStore) -> Any:
        """The connection of another program that locks the sessions table until it rolls back."""
        other = psycopg2.connect(self.server.url(self.database))
        self.addCleanup(other.close)
        with other.cursor() as cursor:
            cursor.execute("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE")
        return other


class PostgresPoolTests(PostgresCase):
    """Connections are few and reused."""

    async def test_no_more_connections_than_allowed_and_none_after_closing(self) -> None:
        store = await self.opened(size=3)
        self.assertEqual(self.connections(), 1)
        calls = [using(store).add(session(f"s{n:02}")) for n in range(60)]
        await gatherResults(calls)
        self.assertLessEqual(self.connections(), 3)
        await gatherResults([using(store).get("s00") for _ in range(60)])
        self.assertLessEqual(self.connections(), 3)
        await store.close()
        await until(lambda: not self.connections())

    async def test_a_call_that_waits_for_a_lock_ends_in_time_on_both_sides(self) -> None:
        store = await self.opened(timeout=2, size=2)
        holder = await self.locked(store)
        outcomes = await DeferredList([using(store).get("s1") for _ in range(6)], consumeErrors=True)
        for done, failure in outcomes:
            self.assertFalse(done)
            failure.trap(StoreUnavailable)
        await until(lambda: not self.blocked())
        holder.rollback()
        await self.recovered(store.ping)
        self.assertIsNone(await using(store).get("s1"))
        self.assertLessEqual(self.connections(), 3)

    async def test_a_call_may_be_cancelled_while_the_server_works_on_it(self) -> None:
        store = await self.opened(size=1)
        holder = await self.locked(store)
        calls = [using(store).add(session("first")), using(store).add(session("second"))]
        await until(self.blocked)
        heartbeat = self.heartbeat()
        for call in calls:
            call.cancel()
            await call.addErrback(lambda failure: None)
        self.assertLess(heartbeat.stop(), HANG)
        holder.rollback()
        self.assertEqual(set(ids(await using(store).page(None, None, 10))) - {"first"}, set())

    async def test_broken_connections_leave_no_descriptor_open(self) -> None:
        store = await self.opened(size=2)
        before = len(os.listdir("/proc/self/fd"))
        end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"
        for turn in range(20):
            calls = [store.ping() for _ in range(4)]
            if turn % 2:  # now amid calls, now between them
                await DeferredList(calls, consumeErrors=True)
            self.execute(end, (self.database,))
            await DeferredList(calls, consumeErrors=True)
        await self.recovered(store.ping)
        self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 1)  # the second connection

    async def test_a_socket_in_a_directory_serves_as_well(self) -> None:
        store = await self.opened(self.server.url(self.database, host=self.server.directory))
        await using(store).add(session())
        self.assertEqual(await using(store).owner("s1"), "u1")


class PostgresWriteTests(PostgresCase):
    """A database that can be read and not written."""

    async def test_f35_a_ping_writes_now_and_then_and_tells_that_it_cannot(self) -> None:
        rare, often = self.store(write_check=3600), self.store(write_check=0)
        for store in (rare, often):
            await store.open()
            await store.ping()
        self.execute("CREATE RULE nothing AS ON UPDATE TO sandbox_instance DO INSTEAD SELECT 1 / (random() * 0)::int")
        await rare.ping()
        for _ in range(2):
            await self.assertFailure(often.ping(), StoreUnavailable)
        self.execute("DROP RULE nothing ON sandbox_instance")
        await often.ping()


class PostgresSchemaTests(PostgresCase):
    """The schema is made and moved on at the start."""

    async def test_stores_that_start_at_once_on_an_empty_database_agree(self) -> None:
        stores = [self.store() for _ in range(6)]
        await gatherResults([store.open() for store in stores])
        self.assertEqual(len(set(await gatherResults([store.instance() for store in stores]))), 1)
        self.assertEqual(self.execute("SELECT version FROM sandbox_schema"), [(1,)])
        outcomes = await DeferredList([using(store).add(session()) for store in stores], consumeErrors=True)
        self.assertEqual([done for done, _ in outcomes].count(True), 1)
        for done, failure in outcomes:
            if not done:
                failure.trap(SessionExists)

    async def test_a_failed_migration_leaves_nothing(self) -> None:
        self.execute("CREATE TABLE sandbox_links (id text)")  # in the way of the last statements
        error = await self.assertFailure(self.store().open(), StoreUnavailable)
        self.assertIn("already exists", error.message)
        self.assertEqual(self.execute("SELECT to_regclass('sessions'), to_regclass('sandbox_schema')"), [(None, None)])
        self.execute("DROP TABLE sandbox_links")
        await self.opened()

    async def test_they_agree_whatever_isolation_the_server_has_by_default(self) -> None:
        self.execute(f"ALTER DATABASE {self.database} SET default_transaction_isolation = 'serializable'")
        stores = [self.store() for _ in range(6)]
        await gatherResults([store.open() for store in stores])
        self.assertEqual(len({await store.instance() for store in stores}), 1)

    async def test_a_database_of_a_newer_version_is_refused(self) -> None:
        await using(await self.opened()).add(session())
        self.execute("INSERT INTO sandbox_schema VALUES (1000, 'future')")
        error = await self.assertFailure(self.store().open(), SettingError)
        self.assertIn("newer version (its schema is 1000", str(error))
        self.assertEqual(self.execute("SELECT id FROM sessions"), [("s1",)])

    async def test_a_sessions_table_of_a_platform_is_refused_and_untouched(self) -> None:
        self.execute("CREATE TABLE sessions (id uuid, user_id integer)")
        error = await self.assertFailure(self.store().open(), SettingError)
        self.assertIn("SESSIONS_READ_ONLY=true", str(error))
        self.assertEqual(self.execute("SELECT to_regclass('sandbox_schema')"), [(None,)])

    async def test_a_schema_beside_a_platforms_table_is_ours(self) -> None:
        self.execute("CREATE TABLE sessions (id uuid, user_id integer); CREATE SCHEMA ours")
        store = await self.opened(self.server.url(self.database, options="-csearch_path=ours"))
        await using(store).add(session())
        self.assertEqual(self.execute("SELECT id FROM ours.sessions"), [("s1",)])

    async def test_a_database_of_another_encoding_is_refused(self) -> None:
        name = "t" + uuid.uuid4().hex[:12]
        self.server.execute(
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING SQL_ASCII LOCALE_PROVIDER libc LOCALE 'C'"
        )
        error = await self.assertFailure(self.store(self.server.url(name)).open(), SettingError)
        self.assertIn("encoding SQL_ASCII", str(error))

    async def test_a_user_who_may_not_make_tables_is_told(self) -> None:
        role = "r" + uuid.uuid4().hex[:12]
        self.execute(f"CREATE ROLE {role} LOGIN")
        error = await self.assertFailure(self.store(self.server.url(self.database, user=role)).open(), StoreUnavailable)
        self.assertIn("permission denied for schema public", error.message)


class PostgresClaimTests(PostgresCase):
    """One daemon works with a database."""

    def end_connections(self) -> None:
        """The server ends every connection to the database but the one that asks for it."""
        self.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid()")  # fmt: skip

    async def refused(self, call: Callable[[], Any]) -> None:
        """It fails, for there is another."""
        error = await self.assertFailure(call(), StoreUnavailable)
        self.assertIn("Another daemon uses the database", error.message)

    async def test_a_second_daemon_waits_until_the_first_one_ends(self) -> None:
        for where in ({}, {"host": self.server.directory}):
            url = self.server.url(self.database, **where)
            first, second = await self.opened(url), await self.opened(url)
            await first.acquire_lease()
            await first.acquire_lease()
            await self.refused(second.acquire_lease)
            await first.close()
            await self.recovered(second.acquire_lease)
            await second.close()

    async def test_installations_in_one_database_have_nothing_in_common(self) -> None:
        self.execute("CREATE SCHEMA ours")
        for options in ("", "-csearch_path=ours"):
            await (await self.opened(self.server.url(self.database, options=options))).acquire_lease()

    async def test_a_claim_that_was_lost_is_made_anew_before_anything_is_asked(self) -> None:
        first, second = await self.opened(), await self.opened()
        await first.acquire_lease()
        await using(first).add(session())
        self.end_connections()
        self.assertEqual(await self.recovered(lambda: using(first).get("s1")), session())
        await self.recovered(second.instance)
        await self.refused(second.acquire_lease)

    async def test_who_lost_it_to_another_is_refused_everything_until_that_one_ends(self) -> None:
        first, second = await self.opened(), await self.opened()
        await first.acquire_lease()
        self.end_connections()
        await self.recovered(second.acquire_lease)
        await self.refused(first.instance)
        await second.close()
        await self.recovered(first.instance)


class PostgresAwayTests(PostgresCase):
    """The server dies and comes back; after each test it runs."""

    def setUp(self) -> None:
        super().setUp()
        self.addCleanup(self.server.start)
        self.addCleanup(self.server.thaw)

    async def cut_off(self, calls: list[Any]) -> None:
        """All of them fail."""
        for done, outcome in await DeferredList(calls, consumeErrors=True):
            self.assertFalse(done, outcome)
            outcome.trap(StoreUnavailable)

    async def test_killed_amid_calls_they_fail_and_it_recovers_by_itself(self) -> None:
        store = await self.opened(timeout=5, size=3)
        await using(store).add(session())
        for how in (signal.SIGQUIT, signal.SIGINT):
            holder = (await self.locked(store)).get_backend_pid()
            calls = [using(store).get("s1") for _ in range(8)]  # three in the server, five waiting
            await until(lambda: self.blocked() == 3)
            heartbeat = self.heartbeat()
            os.kill(holder, signal.SIGSTOP)  # were it the first to die, its lock would be gone, and calls have answers
            stopped = deferToThread(self.server.stop, how)
            await self.cut_off(calls)
            os.kill(holder, signal.SIGCONT)
            await stopped
            for call in every_call(store):
                await self.assertFailure(call, StoreUnavailable)
            await deferToThread(self.server.start)
            await self.recovered(store.ping)
            self.assertLess(heartbeat.stop(), HANG)
            self.assertEqual(ids(await using(store).page(None, None, 10)), ["s1"])
            await gatherResults([using(store).get("s1") for _ in range(12)])

    async def test_killed_while_nobody_calls_it_is_used_again_without_a_failure(self) -> None:
        store = await self.opened(size=3)
        await gatherResults([store.instance() for _ in range(6)])
        await deferToThread(self.server.stop, signal.SIGQUIT)
        await deferToThread(self.server.start)
        self.assertEqual(list(await using(store).page(None, None, 10)), [])

    async def test_backends_killed_as_for_lack_of_memory(self) -> None:
        store = await self.opened(size=2)
        await using(store).add(session())
        await self.locked(store)
        calls = [using(store).get("s1") for _ in range(8)]
        await until(lambda: self.blocked() == 2)
        self.assertGreaterEqual(await deferToThread(self.server.kill_backends, self.database), 3)
        await self.cut_off(calls)
        # The server may take a new connection before it knows that it has to start anew.
        await self.recovered(lambda: using(store).replace(session(user_id="u2")))
        self.assertEqual(await self.recovered(lambda: using(store).owner("s1")), "u2")

    async def test_a_server_that_stops_answering_fails_calls_in_time_and_blocks_nothing(self) -> None:
        store = await self.opened(timeout=2, size=2)
        await gatherResults([store.ping() for _ in range(4)])
        self.server.freeze()
        heartbeat = self.heartbeat()
        for _ in range(2):  # on the connections of before, then on new ones
            for done, failure in await DeferredList(every_call(store), consumeErrors=True):
                self.assertFalse(done)
                failure.trap(StoreUnavailable)
        self.assertLess(heartbeat.stop(), HANG)
        self.server.thaw()
        await self.recovered(store.ping)

    async def test_away_at_the_start_it_is_prepared_when_it_is_there(self) -> None:
        await deferToThread(self.server.stop)
        store = self.store()
        error = await self.assertFailure(store.open(), StoreUnavailable)
        self.assertIn("The database does not answer: ", error.message)
        await self.assertFailure(using(store).add(session()), StoreUnavailable)
        await deferToThread(self.server.start)
        await self.recovered(store.ping)
        await using(store).add(session())
        self.assertEqual(self.execute("SELECT version FROM sandbox_schema"), [(1,)])

    async def test_while_it_is_away_few_attempts_are_made_and_few_lines_logged(self) -> None:
        store = await self.opened(size=4)
        await deferToThread(self.server.stop, signal.SIGQUIT)
        attempts: list[Any] = []
        connect = store._connections._resolved

        def counted(deadline: float) -> Any:
            attempts.append(deadline)
            return connect(deadline)

        self.patch(store._connections, "_resolved", counted)
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        for _ in range(300):
            await self.assertFailure(store.ping(), StoreUnavailable)
        # In the time that 300 calls take the delay doubles from 0.1 s: some attempts, not hundreds.
        self.assertLess(len(attempts), 20)
        said = [event for event in events if event.get("log_namespace") == "sandbox.stores.postgres.connections"]
        self.assertEqual(len(said), 1)

    async def test_closing_while_it_does_not_answer_ends_in_time(self) -> None:
        store = await self.opened(timeout=2)
        self.server.freeze()
        call = self.assertFailure(store.ping(), StoreUnavailable)
        await store.close()
        await call


class PostgresNetworkTests(PostgresCase):
    """Addresses, names and encryption."""

    def black_hole(self) -> int:
        """A port that takes connections and never says a word."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        return int(listener.getsockname()[1])

    def full_port(self) -> int:
        """A port whose connections are never completed: its queue is full."""
        listener = socket.socket()
        self.addCleanup(listener.close)
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = socket.socket()
            self.addCleanup(filler.close)
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        return int(listener.getsockname()[1])

    async def test_an_address_that_never_answers_fails_in_time_and_blocks_nothing(self) -> None:
        for port in (self.black_hole(), self.full_port()):
            store = self.store(f"postgresql://me@127.0.0.1:{port}/db", timeout=1)
            heartbeat = self.heartbeat()
            await self.assertFailure(store.open(), StoreUnavailable)
            for done, failure in await DeferredList(every_call(store), consumeErrors=True):
                self.assertFalse(done)
                failure.trap(StoreUnavailable)
            await store.close()
            self.assertLess(heartbeat.stop(), HANG)

    async def test_a_name_is_resolved_by_the_reactor_and_its_addresses_are_tried_in_turn(self) -> None:
        names: list[str] = []

        class Resolver:
            def resolveHostName(self, receiver: Any, host: str, *rest: Any) -> Any:
                names.append(host)
                receiver.resolutionBegan(None)
                receiver.addressResolved(IPv6Address("TCP", "::1", 0))  # nobody listens there
                receiver.addressResolved(IPv4Address("TCP", "127.0.0.1", 0))
                receiver.resolutionComplete()

        url = self.server.url(self.database, host="database.invalid")
        store = self.store(url, on=ReactorWith(Resolver()))
        await store.open()
        await using(store).add(session())
        self.assertEqual(names, ["database.invalid"])

    async def test_a_name_of_several_hosts_finds_the_one_that_is_there(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            nobody = free.getsockname()[1]
        port = self.server.port
        store = self.store(
            f"postgresql://postgres@127.0.0.1:{nobody},localhost:{port}/{self.database}?target_session_attrs=read-write"
        )
        await store.open()
        await store.ping()

    async def test_a_name_that_is_never_resolved_fails_in_time(self) -> None:
        class Resolver:
            def resolveHostName(self, receiver: Any, host: str, *rest: Any) -> Any:
                receiver.resolutionBegan(None)

        store = self.store(
            self.server.url(self.database, host="database.invalid"), on=ReactorWith(Resolver()), timeout=0.5
        )
        await self.assertFailure(store.open(), StoreUnavailable)
        await store.close()

    async def test_a_name_that_does_not_exist_is_told(self) -> None:
        store = self.store(self.server.url(self.database, host="database.invalid"))
        error = await self.assertFailure(store.open(), StoreUnavailable)
        self.assertIn("no address found for database.invalid", error.message)

    async def test_no_word_of_the_password_is_logged_or_told(self) -> None:
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        for url in (
            f"postgresql://me:verysecret@127.0.0.1:{self.black_hole()}/db",
            f"postgresql://nobody:verysecret@127.0.0.1:{self.server.port}/{self.database}",
            f"postgresql://postgres:verysecret@127.0.0.1:{self.server.port}/nowhere",
        ):
            store = self.store(url, timeout=0.5)
            error = await self.assertFailure(store.open(), StoreUnavailable)
            self.assertNotIn("verysecret", error.message)
        said = [formatEvent(event) for event in events]
        self.assertTrue(any("PostgreSQL is unavailable" in text for text in said))
        self.assertNotIn("verysecret", "".join(said) + repr(events))

    async def test_encryption_checks_the_name_of_the_url(self) -> None:
        private = PostgresServer()
        self.addCleanup(private.remove)
        certificate = await deferToThread(_certify, private.directory, "localhost")
        await deferToThread(
            private.start, "ssl=on", f"ssl_cert_file={certificate}", f"ssl_key_file={private.directory}/server.key"
        )
        trusted = {"sslmode": "verify-full", "sslrootcert": certificate}
        store = self.store(private.url(host="localhost", **trusted))
        await store.open()
        rows = await store._connections.run(
            lambda connection: connection.query("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        )
        self.assertEqual(list(rows), [(True,)])
        wrong = self.store(private.url(host="127.0.0.1", **trusted))
        await self.assertFailure(wrong.open(), StoreUnavailable)


class ReactorWith:
    """The reactor, with another resolver."""

    def __init__(self, resolver: Any) -> None:
        self.nameResolver = resolver

    def __getattr__(self, name: str) -> Any:
        return getattr(reactor, name)


def _certify(directory: str, name: str) -> str:
    """Make a key and a certificate of that name for the server; answers the certificate's path."""
    key, certificate = os.path.join(directory, "server.key"), os.path.join(directory, "server.crt")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "1",
    ]
    command += ["-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True)
    owner = os.stat(directory)
    for path in (key, certificate):
        os.chown(path, owner.st_uid, owner.st_gid)
    os.chmod(key, 0o600)
    return certificate
