"""Store in one SQLite file: the default, with no server to install or run."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

from twisted.enterprise.adbapi import ConnectionPool
from twisted.enterprise.adbapi import Transaction as Cursor
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from sandbox.domain.errors import StoreUnavailable
from sandbox.net.instruments import PoolUsage
from sandbox.stores.interface import IStore, Transaction, Work
from sandbox.stores.limiter import ConcurrencyLimiter
from sandbox.stores.sql.dialect import SQLITE, Rows
from sandbox.stores.sql.transactions import committed, run_at_once, transaction_on
from sandbox.stores.sqlite.file import (
    DISK_FULL,
    FileLock,
    at_start,
    connected,
    first,
    is_full,
    make_file,
    migrate,
    translate,
)
from sandbox.stores.sqlite.reserve import Reserve
from sandbox.stores.write_check import WriteCheck

T = TypeVar("T")


@implementer(IStore)
class SqliteStore:
    """A store in its own file (mode 0600; its directory is created with mode 0700), in write-ahead mode.

    ``synchronous=FULL``: a commit is on disk before it is acknowledged. NORMAL would survive a killed daemon (the
    kernel has the data by then), but a power failure could lose the last commits, and with a row the reference to an
    existing container. The cost is one sync per write, about four in a session's lifetime.

    :param reactor: its time, and its threads for the last step of :meth:`close`.
    :param threads: number of connections, each in a thread of the store's own pool.
    :param queue: maximum of calls waiting for a thread; further ones are refused.
    :param timeout: timeout of a call in seconds; also how long SQLite waits for another program's lock.
    :param write_check: minimum seconds between the writes of :meth:`ping`.
    :param reserve: bytes kept free on the disk for deletions, from :meth:`acquire_lease` on.
    """

    read_only = False

    def __init__(
        self,
        reactor: Any,
        path: str,
        *,
        threads: int = 4,
        queue: int = 512,
        timeout: float = 5.0,
        write_check: float = 10.0,
        reserve: int = 0,
    ) -> None:
        self._reactor = reactor
        self.path = path
        self._threads = threads
        self._timeout = timeout
        self._limiter = ConcurrencyLimiter(reactor, size=threads, queue=queue, timeout=timeout)
        self._lease = FileLock(path)
        self._reserve = Reserve(path, reserve)
        self._writes = WriteCheck(write_check)
        self._pool: ConnectionPool | None = None
        self._changing = DeferredLock()  # serializes open() and close()

    @property
    def workers(self) -> PoolUsage:
        return self._limiter.workers

    def open(self) -> Deferred[None]:
        return self._changing.run(lambda: Deferred.fromCoroutine(self._prepare()))

    def acquire_lease(self) -> Deferred[None]:
        def take(cursor: Cursor) -> None:
            self._lease.take()
            self._reserve.take()

        return self._call(take)

    def close(self) -> Deferred[None]:
        return self._changing.run(lambda: Deferred.fromCoroutine(self._finish()))

    def ping(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._ping())

    def instance(self) -> Deferred[str]:
        return self._call(lambda cursor: str(first(cursor, "SELECT name FROM sandbox_instance")[0]))

    def transaction(self, name: str, work: Work[T], *, erases: bool = False) -> Deferred[T]:
        return self._call(_run, work, True, then=_after, erases=erases)

    def read(self, name: str, work: Work[T]) -> Deferred[T]:
        return self._call(_run, work, False, then=_after)

    def _call(
        self,
        work: Callable[..., Any],
        *arguments: object,
        then: Callable[[Any], T] | None = None,
        erases: bool = False,
    ) -> Deferred[T]:
        """Run ``work`` with a cursor, in a thread.

        :param then: called with its result on the reactor's thread, even when the caller was cancelled.
        :param erases: whether to release the reserve on a full disk.
        """

        async def run() -> T:
            assert self._pool is not None
            try:
                done = await self._pool.runInteraction(work, *arguments)
            except sqlite3.Error as error:
                if not (erases and is_full(error) and await self._in_thread(self._reserve.release)):
                    raise
                done = await self._pool.runInteraction(work, *arguments)
            return cast(T, done if then is None else then(done))

        return self._limiter.run(lambda: Deferred.fromCoroutine(run())).addErrback(translate)

    def _in_thread(self, work: Callable[[], bool]) -> Deferred[bool]:
        assert self._pool is not None
        done: Deferred[bool] = deferToThreadPool(self._reactor, self._pool.threadpool, work)
        return done

    def _find_room(self, cursor: Cursor) -> bool:
        if not self._reserve.probe():
            return False
        self._reserve.take()
        return True

    async def _ping(self) -> None:
        await self._call(lambda cursor: first(cursor, "SELECT name FROM sandbox_instance"))
        if not self._writes.begin(self._reactor.seconds()):
            return
        try:
            await self._call(_write)
            if not await self._call(self._find_room):
                raise StoreUnavailable(DISK_FULL)
        except StoreUnavailable as error:
            self._writes.ended(error)
            raise
        self._writes.ended()

    async def _prepare(self) -> None:
        if self._pool is not None:
            return
        pool = ConnectionPool(
            "sqlite3",
            self.path,
            timeout=self._timeout,
            isolation_level=None,  # explicit BEGIN
            check_same_thread=False,  # the pool closes connections from another thread
            cp_reactor=self._reactor,
            cp_min=0,
            cp_max=self._threads,
            cp_openfun=connected,
        )
        pool.start()
        try:
            await deferToThreadPool(self._reactor, pool.threadpool, make_file, self.path)
            await pool.runInteraction(migrate, self._timeout)
        except BaseException as error:
            if is_full(error):
                # The next attempt to open finds space, and sessions can be deleted then.
                await deferToThreadPool(self._reactor, pool.threadpool, self._reserve.release)
            await self._end(pool)
            raise at_start(error, self.path) from error
        self._pool = pool
        self._limiter.open()

    async def _finish(self) -> None:
        await self._limiter.close()
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await self._end(pool)
        self._lease.release()

    async def _end(self, pool: ConnectionPool) -> None:
        # The pool's close() would join threads and checkpoint the log on the reactor's thread: remove its shutdown
        # trigger, and close it in a thread.
        for name in ("shutdownID", "startID"):
            trigger = getattr(pool, name)
            setattr(pool, name, None)
            if trigger is not None:
                self._reactor.removeSystemEventTrigger(trigger)
        await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), pool.finalClose)


def _write(cursor: Cursor) -> None:
    cursor.execute("UPDATE sandbox_instance SET name = name")


class _SqliteConnection:
    """Adapts a cursor of a pool thread to the aggregates' ``Connection``."""

    dialect = SQLITE

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    async def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        self._cursor.execute(statement, values)
        return int(self._cursor.rowcount)

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        rows: Rows = self._cursor.execute(statement, values).fetchall()
        return rows


def _run(cursor: Cursor, work: Work[T], write: bool) -> tuple[T, Transaction]:
    """Run ``work`` in a thread; the pool commits, or rolls back on an exception."""
    transaction = transaction_on(_SqliteConnection(cursor))
    if write:
        cursor.execute("BEGIN IMMEDIATE")
    return run_at_once(work(transaction)), transaction


def _after(done: tuple[T, Transaction]) -> T:
    result, transaction = done
    committed(transaction)
    return result
