"""Sessions in one SQLite file: the default, nothing to install and nothing to run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from twisted.enterprise.adbapi import ConnectionPool, Transaction
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.threads import deferToThreadPool
from zope.interface import implementer

from sandbox.domain.errors import SessionExists, SessionNotFound
from sandbox.domain.model import Link, Phase, SessionRecord
from sandbox.net.instruments import PoolUsage
from sandbox.stores.interface import ISessionStore, Position
from sandbox.stores.rows import key, link_exists, link_row, session_row, utc
from sandbox.stores.limiter import ConcurrencyLimiter
from sandbox.stores.sqlite.file import FileLock, at_start, connected, first, make_file, migrate, translate

T = TypeVar("T")

_SELECT = "SELECT id, user_id, image, phase, created_at, updated_at, container_id FROM sessions"
_INSERT = """
INSERT INTO sessions (id, user_id, image, phase, created_at, updated_at, container_id)
VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
"""
_UPDATE = """
UPDATE sessions SET (id, user_id, image, phase, created_at, updated_at, container_id) = (?, ?, ?, ?, ?, ?, ?)
WHERE id = ?
"""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@implementer(ISessionStore)
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

    def add(self, record: SessionRecord) -> Deferred[None]:
        return self._call(_add, record)

    def get(self, session_id: str) -> Deferred[SessionRecord | None]:
        return self._call(_get, session_id)

    def replace(self, record: SessionRecord) -> Deferred[None]:
        return self._call(_replace, record)

    def remove(self, session_id: str) -> Deferred[None]:
        return self._call(_remove, session_id)

    def page(self, user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:
        return self._call(_page, user_id, after, limit)

    def owner(self, session_id: str) -> Deferred[str | None]:
        return self._call(_owner, session_id)

    def add_link(self, link: Link) -> Deferred[None]:
        return self._call(_add_link, link)

    def get_link(self, link_id: str) -> Deferred[Link | None]:
        return self._call(_get_link, link_id)

    def remove_link(self, link_id: str) -> Deferred[None]:
        return self._call(_remove_link, link_id)

    def remove_expired_links(self, now: datetime) -> Deferred[int]:
        return self._call(_remove_expired_links, now)

    def _call(self, work: Callable[..., T], *arguments: object) -> Deferred[T]:
        def run() -> Deferred[T]:
            assert self._pool is not None
            done: Deferred[T] = self._pool.runInteraction(work, *arguments)
            return done

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


def _add(cursor: Transaction, record: SessionRecord) -> None:
    values = _values(record)
    cursor.execute("BEGIN IMMEDIATE")
    cursor.execute(_INSERT, values)
    if not cursor.rowcount:
        raise SessionExists(record.id)
    cursor.execute("DELETE FROM sandbox_links WHERE session_id = ?", (record.id,))


def _get(cursor: Transaction, session_id: str) -> SessionRecord | None:
    row = first(cursor, _SELECT + " WHERE id = ?", (key(session_id, "id"),))
    return None if row is None else _record(row)


def _replace(cursor: Transaction, record: SessionRecord) -> None:
    cursor.execute(_UPDATE, (*_values(record), record.id))
    if not cursor.rowcount:
        raise SessionNotFound(record.id)


def _remove(cursor: Transaction, session_id: str) -> None:
    key(session_id, "id")
    cursor.execute("BEGIN IMMEDIATE")
    cursor.execute("DELETE FROM sessions WHERE id = ?", (session_id,))
    cursor.execute("DELETE FROM sandbox_links WHERE session_id = ?", (session_id,))


def _page(cursor: Transaction, user_id: str | None, after: Position | None, limit: int) -> Sequence[SessionRecord]:
    sql = _SELECT + " WHERE 1"
    values: list[object] = []
    if user_id is not None:
        sql += " AND user_id = ?"
        values += [key(user_id, "userId")]
    if after is not None:
        sql += " AND (created_at, id) < (?, ?)"
        values += [_number(utc(after.created_at)), key(after.id, "cursor")]
    sql += " ORDER BY created_at DESC, id DESC LIMIT ?"
    return [_record(row) for row in cursor.execute(sql, (*values, max(limit, 0)))]


def _owner(cursor: Transaction, session_id: str) -> str | None:
    row = first(cursor, "SELECT user_id FROM sessions WHERE id = ?", (key(session_id, "id"),))
    return None if row is None else str(row[0])


def _add_link(cursor: Transaction, link: Link) -> None:
    link = link_row(link)
    cursor.execute(
        "INSERT INTO sandbox_links (id, session_id, user_id, expires_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (link.id, link.session_id, link.user_id, _number(link.expires_at)),
    )
    if not cursor.rowcount:
        raise link_exists()


def _get_link(cursor: Transaction, link_id: str) -> Link | None:
    sql = "SELECT id, session_id, user_id, expires_at FROM sandbox_links WHERE id = ?"
    row = first(cursor, sql, (key(link_id, "linkId"),))
    if row is None:
        return None
    return Link(id=row[0], session_id=row[1], user_id=row[2], expires_at=_moment(row[3]))


def _remove_link(cursor: Transaction, link_id: str) -> None:
    cursor.execute("DELETE FROM sandbox_links WHERE id = ?", (key(link_id, "linkId"),))


def _remove_expired_links(cursor: Transaction, now: datetime) -> int:
    cursor.execute("DELETE FROM sandbox_links WHERE expires_at <= ?", (_number(utc(now)),))
    return int(cursor.rowcount)


def _values(record: SessionRecord) -> tuple[object, ...]:
    row = session_row(record)
    times = (_number(row.created_at), _number(row.updated_at))
    return (row.id, row.user_id, row.image, row.phase.value, *times, row.container_id)


def _record(row: Sequence[Any]) -> SessionRecord:
    return SessionRecord(
        id=row[0],
        user_id=row[1],
        image=row[2],
        phase=Phase(row[3]),
        created_at=_moment(row[4]),
        updated_at=_moment(row[5]),
        container_id=row[6],
    )


def _number(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND
