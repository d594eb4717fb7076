"""Owners are read from a platform's own table, whatever its types; nothing is written."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from sandbox.domain.errors import InvalidRequest, SessionsReadOnly, StoreUnavailable
from sandbox.settings import SettingError
from sandbox.stores.interface import IStore
from sandbox.stores.platform.store import PlatformStore
from tests.contracts.store import BEGIN, every_call, link, session
from tests.postgres import server
from tests.stores.aggregates import using

ID = "8a6e0804-2bd0-4672-b79d-d97027f9071a"
OWNER = "00000000-0000-4000-8000-00000000000a"


class PlatformStoreTests(TestCase):
    """SESSIONS_READ_ONLY=true."""

    timeout = 60

    def setUp(self) -> None:
        self.database = server().make_database()

    def execute(self, sql: str, values: Any = None) -> list[tuple[Any, ...]]:
        return server().execute(sql, values, database=self.database)

    def store(self, **parameters: str) -> PlatformStore:
        store = PlatformStore(reactor, server().url(self.database, **parameters), timeout=10)
        self.addCleanup(store.close)
        return store

    async def opened(self, sql: str, **parameters: str) -> PlatformStore:
        self.execute(sql)
        store = self.store(**parameters)
        await store.open()
        return store

    async def test_provides_the_interface_and_says_it_is_read_only(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        verifyObject(IStore, store)
        self.assertIs(store.read_only, True)
        await store.ping()

    async def test_ids_and_users_of_type_uuid(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id uuid PRIMARY KEY, user_id uuid NOT NULL, name text)")
        self.execute("INSERT INTO sessions VALUES (%s, %s, 'x')", (ID, OWNER))
        self.assertEqual(await using(store).owner(ID), OWNER)
        for other in (str(uuid.uuid4()), ID.upper(), ID.replace("-", ""), f"{{{ID}}}", "not-a-uuid", "1", ""):
            self.assertIsNone(await using(store).owner(other))

    async def test_ids_and_users_of_integer_types(self) -> None:
        for kind in ("smallint", "integer", "bigint"):
            self.execute("DROP TABLE IF EXISTS sessions")
            store = await self.opened(f"CREATE TABLE sessions (id {kind} PRIMARY KEY, user_id {kind} NOT NULL)")
            self.execute("INSERT INTO sessions VALUES (7, 42), (0, 1), (-3, 2)")
            self.assertEqual([await using(store).owner(id) for id in ("7", "0", "-3")], ["42", "1", "2"])
            for other in ("8", "07", "+7", "7.0", "-0", "seven", "9" * 18, "9" * 19, "9" * 64):
                self.assertIsNone(await using(store).owner(other))

    async def test_ids_of_text_and_of_other_types(self) -> None:
        for kind in ("text", "varchar(64)", "varchar", "char(5)", "numeric"):
            self.execute("DROP TABLE IF EXISTS sessions")
            store = await self.opened(f"CREATE TABLE sessions (id {kind} PRIMARY KEY, user_id varchar(20) NOT NULL)")
            self.execute("INSERT INTO sessions VALUES ('12345', 'ünï')")
            self.assertEqual(await using(store).owner("12345"), "ünï")
            for other in ("12346", "012345", "'; DROP TABLE sessions; --", "%s"):
                self.assertIsNone(await using(store).owner(other))

    async def test_text_ids_are_told_apart_by_case(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text PRIMARY KEY, user_id text NOT NULL)")
        self.execute("INSERT INTO sessions VALUES ('a', 'lower')")
        self.assertEqual(await using(store).owner("a"), "lower")
        self.assertIsNone(await using(store).owner("A"))

    async def test_a_view_will_do_and_its_schema_is_the_search_paths(self) -> None:
        store = await self.opened(
            "CREATE SCHEMA platform; CREATE TABLE platform.runs (run uuid, account integer);"
            "CREATE VIEW platform.sessions AS SELECT run AS id, account AS user_id FROM platform.runs",
            options="-csearch_path=platform",
        )
        self.execute("INSERT INTO platform.runs VALUES (%s, 5)", (ID,))
        self.assertEqual(await using(store).owner(ID), "5")

    async def test_an_index_serves_the_question(self) -> None:
        for kind in ("uuid", "bigint", "text", "varchar(64)"):
            self.execute("DROP TABLE IF EXISTS sessions")
            store = await self.opened(f"CREATE TABLE sessions (id {kind} PRIMARY KEY, user_id text NOT NULL)")
            sql = store._lookup[1].replace("?", "%s")
            id = ID if kind == "uuid" else "7"
            plan = self.execute(f"SET enable_seqscan = off; EXPLAIN {sql}", (id,))
            self.assertIn("sessions_pkey", str(plan), kind)

    async def test_a_session_without_an_owner_or_with_two_belongs_to_nobody(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        self.execute(
            "INSERT INTO sessions VALUES ('none', NULL), ('two', 'u1'), ('two', 'u2'), ('twice', 'u'), ('twice', 'u')"
        )
        self.assertIsNone(await using(store).owner("none"))
        self.assertIsNone(await using(store).owner("two"))
        self.assertEqual(await using(store).owner("twice"), "u")

    async def test_every_other_call_on_sessions_says_why_not(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        calls = [
            using(store).add(session()),
            using(store).get("s1"),
            using(store).replace(session()),
            using(store).remove("s1"),
            using(store).page(None, None, 1),
        ]
        for call in calls:
            error = await self.assertFailure(call, SessionsReadOnly)
            self.assertEqual(error.reason_code, "SESSIONS_READ_ONLY")
            self.assertIn("the platform's", error.message)

    async def test_nothing_is_created_and_the_server_is_asked_to_refuse_writes(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        await using(store).add_link(link())
        await store.instance()
        tables = "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = 'public'"
        self.assertEqual(self.execute(tables), [("sessions",)])
        write = store._connections.run(
            lambda connection: connection.query("INSERT INTO sessions VALUES ('x', 'y') RETURNING id")
        )
        await self.assertFailure(write, StoreUnavailable)
        self.assertEqual(self.execute("SELECT * FROM sessions"), [])

    async def test_links_are_kept_in_memory(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        await using(store).add_link(link("l1", expires_at=BEGIN))
        await using(store).add_link(link("l2"))
        self.assertEqual(await using(store).get_link("l1"), link("l1", expires_at=BEGIN))
        self.assertEqual(await using(store).remove_expired_links(BEGIN + timedelta(seconds=1)), 1)
        await using(store).remove_link("l2")
        self.assertIsNone(await using(store).get_link("l2"))

    async def test_the_instance_is_the_same_after_reopening(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        names = set(await gatherResults([store.instance() for _ in range(3)]))
        await store.close()
        again = self.store()
        await again.open()
        self.assertEqual({await again.instance()}, names)
        self.assertRegex(names.pop(), r"\A[0-9a-f]{12}\Z")

    async def test_before_open_and_after_close_nothing_answers(self) -> None:
        self.execute("CREATE TABLE sessions (id text, user_id text)")
        store = self.store()
        for turn in range(2):
            for call in every_call(store):
                await self.assertFailure(call, StoreUnavailable)
            if not turn:
                await store.open()
                await store.close()

    async def test_an_id_that_no_database_keeps_is_refused(self) -> None:
        store = await self.opened("CREATE TABLE sessions (id text, user_id text)")
        for id in ("a\0b", "\ud800"):
            await self.assertFailure(using(store).owner(id), InvalidRequest)

    async def test_a_database_without_such_a_table_is_refused_at_the_start(self) -> None:
        for sql in ("SELECT 1", "CREATE TABLE sessions (id text)"):
            self.execute(sql)
            error = await self.assertFailure(self.store().open(), SettingError)
            self.assertIn("sessions(id, user_id)", str(error))

    async def test_a_table_that_we_may_not_read_fails_the_start_and_says_so(self) -> None:
        role = "r" + uuid.uuid4().hex[:12]
        self.execute(f"CREATE ROLE {role} LOGIN; CREATE TABLE sessions (id text, user_id text)")
        store = self.store(user=role)
        error = await self.assertFailure(store.open(), StoreUnavailable)
        self.assertIn("permission denied", error.message)
        self.execute(f"GRANT SELECT (id, user_id) ON sessions TO {role}; INSERT INTO sessions VALUES ('a', 'u')")
        again = self.store(user=role)
        await again.open()
        self.assertEqual(await using(again).owner("a"), "u")

    async def test_a_database_that_was_away_at_the_start_is_used_when_it_is_there(self) -> None:
        self.execute("CREATE TABLE sessions (id uuid, user_id text)")
        self.execute("INSERT INTO sessions VALUES (%s, 'u')", (ID,))
        server().execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS false")
        store = self.store()
        await self.assertFailure(store.open(), StoreUnavailable)
        server().execute(f"ALTER DATABASE {self.database} ALLOW_CONNECTIONS true")
        while True:
            try:
                self.assertEqual(await using(store).owner(ID), "u")
                break
            except StoreUnavailable:
                await deferLater(reactor, 0.05)
        self.assertIsNone(await using(store).owner("not-a-uuid"))
