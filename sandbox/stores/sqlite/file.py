"""The file of the SQLite store: private mode, file lock, migrations, translation of errors."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from typing import Any

from twisted.enterprise.adbapi import Transaction
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import StoreUnavailable
from sandbox.settings import SettingError
from sandbox.stores.migrations import Migration, migrations, pending, statements
from sandbox.stores.rows import in_use
from sandbox.stores.sqlite.reserve import FULL

_log = Logger()

DISK_FULL = "The database's disk is full"
#: Messages for errors that an operator can correct, by SQLite's primary result code.
_REASONS = {
    sqlite3.SQLITE_BUSY: "The database is locked by another program",
    sqlite3.SQLITE_FULL: DISK_FULL,
    sqlite3.SQLITE_IOERR: "The database's disk fails",
    sqlite3.SQLITE_READONLY: "The database file cannot be written",
    sqlite3.SQLITE_CANTOPEN: "The database file cannot be opened",
    sqlite3.SQLITE_PERM: "The database file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "The database file is damaged",
    sqlite3.SQLITE_NOTADB: "The database file is not one of SQLite",
}
_HOPELESS = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def connected(connection: sqlite3.Connection) -> None:
    """Configure a new connection to sync each commit to disk (reason: see ``SqliteStore``)."""
    try:
        connection.execute("PRAGMA synchronous = FULL")
    except sqlite3.Error:
        connection.close()  # not yet owned by the pool
        raise


def make_file(path: str) -> None:
    """Create the file (mode 0600) and its directory (0700) where missing; existing ones keep their modes."""
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    # SQLite gives its log and shared-memory files the mode of this one.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


class FileLock:
    """Exclusive use of a database file by one process, through ``flock`` on a separate file: SQLite's own locks are
    lost when the process closes any descriptor of the database. The kernel releases it with the process; the lock
    file remains.
    """

    def __init__(self, path: str) -> None:
        self._path = f"{path}-lock"
        self._file = -1

    def take(self) -> None:
        """Acquire the lock. Idempotent.

        :raises StoreUnavailable: when another process holds it, or the lock file cannot be opened.
        """
        if self._file >= 0:
            return
        try:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(file)
                raise
        except BlockingIOError:
            raise in_use() from None
        except OSError as error:
            raise StoreUnavailable(f"The database cannot be locked: {self._path}: {error.strerror}") from error
        self._file = file

    def release(self) -> None:
        """Release the lock. Idempotent."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def migrate(cursor: Transaction, timeout: float) -> None:
    """Check the file, switch it to write-ahead logging, and run pending migrations in one transaction.

    :param timeout: seconds to wait for another program's lock.
    :raises SettingError: for a database that this version must not change; it is left unchanged.
    """
    if first(cursor, "PRAGMA quick_check(1)") != ("ok",):
        raise _Damaged("quick_check failed")
    _pending(cursor)
    _use_log(cursor, timeout)
    cursor.execute("BEGIN IMMEDIATE")
    steps = _pending(cursor)
    cursor.execute(
        "CREATE TABLE IF NOT EXISTS sandbox_schema (version INTEGER NOT NULL PRIMARY KEY, name TEXT NOT NULL)"
    )
    for step in steps:
        for statement in statements(step.sql):
            cursor.execute(statement)
        cursor.execute("INSERT INTO sandbox_schema (version, name) VALUES (?, ?)", (step.version, step.name))


class _Damaged(sqlite3.DatabaseError):
    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _pending(cursor: Transaction) -> Sequence[Migration]:
    # One query, so that another program's migration cannot be committed in between.
    rows = cursor.execute(
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name IN ('sandbox_schema', 'sessions')"
    )
    tables = {name for (name,) in rows}
    version = None
    if "sandbox_schema" in tables:
        version = first(cursor, "SELECT max(version) FROM sandbox_schema")[0]
    return pending(migrations("sqlite"), version, "sessions" in tables)


def _use_log(cursor: Transaction, timeout: float) -> None:
    # SQLite ignores its busy timeout while switching to WAL: retry when another program switches at the same time.
    deadline = time.monotonic() + timeout
    while True:
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            threading.Event().wait(0.02)


def first(cursor: Transaction, sql: str, values: Sequence[object] = ()) -> Any:
    """Return the first row of a query, or ``None``."""
    return cursor.execute(sql, values).fetchone()


def is_full(error: BaseException) -> bool:
    """Whether lack of disk space may be the cause. SQLite reports a failed sync or mapping as an I/O error."""
    if isinstance(error, sqlite3.Error):
        return _reason(error)[0] in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)
    return isinstance(error, OSError) and error.errno in FULL


def _reason(error: sqlite3.Error) -> tuple[int, str]:
    # The low byte of an extended code is the primary code; errors raised by the module itself have no code.
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code, _REASONS.get(code, "The database refuses")


def translate(failure: Failure) -> Failure:
    """Translate a failed call into a domain error."""
    error = failure.value
    if not isinstance(error, sqlite3.Error):
        return failure
    _log.warn("SQLite call failed: {error}", error=str(error))
    return Failure(StoreUnavailable(_reason(error)[1]))


def at_start(error: BaseException, path: str) -> BaseException:
    """Translate an error of opening the store: permanent (``SettingError``) or temporary (``StoreUnavailable``)."""
    if isinstance(error, sqlite3.Error):
        code, reason = _reason(error)
        if code in _HOPELESS:
            return SettingError(f"DATABASE_URL names {path}, which cannot be used: {reason}")
        return StoreUnavailable(f"{reason}: {path}")
    if isinstance(error, OSError):
        return StoreUnavailable(f"The database file cannot be opened: {path}: {error.strerror}")
    return error
