"""Which store a DATABASE_URL means, and where a relative path is."""

from __future__ import annotations

import os

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import SettingError, parse
from sandbox.stores.factory import make_store
from sandbox.stores.platform.store import PlatformStore
from sandbox.stores.postgres.store import PostgresStore
from sandbox.stores.sqlite.store import SqliteStore


def made(**environment: str) -> object:
    """The store of a daemon with these variables."""
    return make_store(parse({"INTERNAL_SERVICE_KEY": "k" * 32, "STATE_DIRECTORY": "/state", **environment}), reactor)


class MakeStoreTests(SynchronousTestCase):
    """No connection is made here, nor a file."""

    def path(self, **environment: str) -> str:
        store = made(**environment)
        assert isinstance(store, SqliteStore)
        return store.path

    def test_unset_is_a_file_in_the_state_directory(self) -> None:
        self.assertEqual(self.path(), "/state/sandbox.db")

    def test_a_relative_path_is_under_the_state_directory(self) -> None:
        self.assertEqual(self.path(DATABASE_URL="sqlite:///sub/x.db"), "/state/sub/x.db")

    def test_an_absolute_path_is_itself(self) -> None:
        self.assertEqual(self.path(DATABASE_URL="sqlite:////var/lib/x.db"), "/var/lib/x.db")

    def test_a_tilde_is_the_home(self) -> None:
        self.assertEqual(self.path(DATABASE_URL="sqlite:///~/x.db"), os.path.expanduser("~/x.db"))

    def test_a_relative_state_directory_does_not_move_with_the_daemon(self) -> None:
        self.assertEqual(self.path(STATE_DIRECTORY="state"), os.path.abspath("state/sandbox.db"))

    def test_what_is_no_path_is_refused(self) -> None:
        for url in ("sqlite:///", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "sqlite://x.db", "sqlite:////tmp/"):
            self.assertRaises(SettingError, made, DATABASE_URL=url)

    def test_postgresql_by_either_scheme(self) -> None:
        for url in ("postgresql://me@host/db", "postgres://me@host/db"):
            self.assertIsInstance(made(DATABASE_URL=url), PostgresStore)

    def test_read_only_is_a_platforms_table(self) -> None:
        self.assertIsInstance(made(DATABASE_URL="postgresql://h/db", SESSIONS_READ_ONLY="true"), PlatformStore)

    def test_read_only_is_for_postgresql(self) -> None:
        for url in ("", "sqlite:///x.db"):
            error = self.assertRaises(SettingError, made, DATABASE_URL=url, SESSIONS_READ_ONLY="true")
            self.assertIn("SESSIONS_READ_ONLY", str(error))

    def test_a_url_that_libpq_cannot_parse_is_refused_without_telling_its_password(self) -> None:
        for read_only in ("false", "true"):
            url = "postgresql://me:verysecret@[host/db?verysecret=verysecret"
            error = self.assertRaises(SettingError, made, DATABASE_URL=url, SESSIONS_READ_ONLY=read_only)
            self.assertIn("DATABASE_URL", str(error))
            self.assertNotIn("verysecret", str(error))
            self.assertIsNone(error.__cause__)
