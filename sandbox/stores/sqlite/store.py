"""Sessions in one SQLite file: the default, nothing to install and nothing to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool
from twisted.enterprise.adbapi import Transaction as Cursor
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from sandbox.net.instruments import PoolUsage
from sandbox.stores.interface import IStore, Transaction, Work
from sandbox.stores.limiter import ConcurrencyLimiter
from sandbox.stores.sql.dialect import SQLITE, Rows
from sandbox.stores.sql.transactions import committed, run_at_once, transaction_on
from sandbox.stores.sqlite.file import FileLock, at_start, connected, first, make_file, migrate, translate

T = TypeVar("T")


@implementer(IStore)
class SqliteStore:
    """A store in a file of its own (mode 0600; its directory is made, mode 0700), in write-ahead mode.

    ``synchronous=FULL``: a commit is on the disk before it is acknowledged. NORMAL would do for a daemon that is
    killed (what was written is the kernel's by then), but a power cut may take its last commits back, and the row of
    a container that exists is what finds it again. It costs a sync a write, and a session's life has about four.

    :param reactor: its time, and its threads for the last step of :meth:`close`.
    :param threads: connections, each in a thread of this store's own.
    :param queue: calls that may wait for a thread before more are refused.
    :param timeout: seconds that a call may take; also how long SQLite waits for another program's lock.
    """

    read_only = False

    def __init__(self, reactor: Any, path: str, *, threads: int = 4, queue: int = 512, timeout: float = 5.0) -> None:
        self._reactor = reactor
        self.path = path
        self._threads = threads
        self._timeout = timeout
        self._limiter = ConcurrencyLimiter(reactor, size=threads, queue=queue, timeout=timeout)
        self._lease = FileLock(path)
        self._pool: ConnectionPool | None = None
        self._changing = DeferredLock()  # a close that comes while opening closes what was opened

    @property
    def workers(self) -> PoolUsage:
        return self._limiter.workers

    def open(self) -> Deferred[None]:
        return self._changing.run(lambda: Deferred.fromCoroutine(self._prepare()))

    def acquire_lease(self) -> Deferred[None]:
        return self._call(lambda cursor: self._lease.take())

    def close(self) -> Deferred[None]:
        return self._changing.run(lambda: Deferred.fromCoroutine(self._finish()))

    def ping(self) -> Deferred[None]:
        return self._call(lambda cursor: first(cursor, "SELECT name FROM sandbox_instance") and None)

    def instance(self) -> Deferred[str]:
        return self._call(lambda cursor: str(first(cursor, "SELECT name FROM sandbox_instance")[0]))

    def transaction(self, name: str, work: Work[T]) -> Deferred[T]:
        return self._call(_run, work, then=_after, write=True)

    def read(self, name: str, work: Work[T]) -> Deferred[T]:
        return self._call(_run, work, then=_after, write=False)

    def _call(
        self, work: Callable[..., Any], *arguments: object, then: Callable[[Any], T] | None = None, **options: object
    ) -> Deferred[T]:
        def run() -> Deferred[T]:
            assert self._pool is not None
            done: Deferred[T] = self._pool.runInteraction(work, *arguments, **options)
            return done if then is None else done.addCallback(then)

        return self._limiter.run(run).addErrback(translate)

    async def _prepare(self) -> None:
        if self._pool is not None:
            return
        pool = ConnectionPool(
            "sqlite3",
            self.path,
            timeout=self._timeout,
            isolation_level=None,  # transactions begin where we say so
            check_same_thread=False,  # the pool closes its threads' connections from another one
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
        # The pool's own close() joins its threads and has SQLite write its log back, all of it on the reactor's thread:
        # its shutdown trigger is taken away, and the rest happens elsewhere.
        for name in ("shutdownID", "startID"):
            trigger = getattr(pool, name)
            setattr(pool, name, None)
            if trigger is not None:
                self._reactor.removeSystemEventTrigger(trigger)
        await deferToThreadPool(self._reactor, self._reactor.getThreadPool(), pool.finalClose)


class _SqliteConnection:
    """A cursor of one of the pool's threads, as aggregates use it."""

    dialect = SQLITE

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor

    async def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        self._cursor.execute(statement, values)
        return int(self._cursor.rowcount)

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        rows: Rows = self._cursor.execute(statement, values).fetchall()
        return rows


def _run(cursor: Cursor, work: Work[T], *, write: bool) -> tuple[T, Transaction]:
    """In a thread; the pool commits, or rolls back what raises."""
    transaction = transaction_on(_SqliteConnection(cursor))
    if write:
        cursor.execute("BEGIN IMMEDIATE")
    return run_at_once(work(transaction)), transaction


def _after(done: tuple[T, Transaction]) -> T:
    result, transaction = done
    committed(transaction)
    return result
