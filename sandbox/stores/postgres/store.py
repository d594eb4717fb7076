"""Store in our own PostgreSQL database (13 or newer), through txpostgres, which needs no threads."""

from __future__ import annotations

from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sandbox.domain.errors import StoreUnavailable
from sandbox.net.instruments import PoolUsage
from sandbox.settings import SettingError
from sandbox.stores.interface import IStore, Transaction, Work
from sandbox.stores.migrations import migrations, pending
from sandbox.stores.postgres.connection import Connection
from sandbox.stores.postgres.connections import Connections
from sandbox.stores.sql.transactions import committed, transaction_on
from sandbox.stores.write_check import WriteCheck

T = TypeVar("T")

#: Advisory lock that serializes migrations: the bytes of "sandbox", unlikely to collide with another program's.
MIGRATION_LOCK = int.from_bytes(b"sandbox", "big")

#: Locks the installation for the lifetime of its connection. Keep-alives on the server's side release the lock of a
#: machine that died; without them the server would keep the connection for hours.
_CLAIM = """
SELECT pg_try_advisory_lock(('x' || name)::bit(48)::bigint), set_config('tcp_keepalives_idle', '30', false),
    set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)
FROM sandbox_instance
"""

#: A write that changes nothing.
_WRITE = "UPDATE sandbox_instance SET name = name"


@implementer(IStore)
class PostgresStore:
    """A store in our own database, or at least in our own schema, the first of the URL's ``search_path``.

    The server's ``synchronous_commit`` determines durability. The constructor reads the migration files: call it
    before the reactor runs.

    :param url: ``postgresql://…``
    :param size: maximum number of connections.
    :param queue: maximum of calls waiting for a connection; further ones are refused.
    :param timeout: timeout of a call in seconds.
    :param write_check: minimum seconds between the writes of :meth:`ping`.
    :raises SettingError: when the URL cannot be parsed.
    """

    read_only = False

    def __init__(
        self,
        reactor: Any,
        url: str,
        *,
        size: int = 4,
        queue: int = 512,
        timeout: float = 5.0,
        write_check: float = 10.0,
    ) -> None:
        self._reactor = reactor
        self._writes = WriteCheck(write_check)
        self._migrations = migrations("postgres")
        self._connections = Connections(reactor, url, self._migrate, size=size, queue=queue, timeout=timeout)

    @property
    def workers(self) -> PoolUsage:
        return self._connections.workers

    def open(self) -> Deferred[None]:
        return self._connections.open()

    def acquire_lease(self) -> Deferred[None]:
        return self._connections.acquire_lease(_CLAIM)

    def close(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._connections.close())

    def ping(self) -> Deferred[None]:
        return Deferred.fromCoroutine(self._ping())

    def instance(self) -> Deferred[str]:
        return Deferred.fromCoroutine(self._instance())

    def transaction(self, name: str, work: Work[T], *, erases: bool = False) -> Deferred[T]:
        return Deferred.fromCoroutine(self._transaction(work))

    def read(self, name: str, work: Work[T]) -> Deferred[T]:
        return self._connections.run(lambda connection: work(transaction_on(connection)))

    async def _migrate(self, connection: Connection) -> None:
        # On any failure the connection is closed, and the server rolls back.
        # READ COMMITTED, whatever the server's default: statements must see what was committed during the wait for
        # the lock.
        await connection.runOperation("BEGIN ISOLATION LEVEL READ COMMITTED")
        await connection.runOperation("SELECT pg_advisory_xact_lock(%s)", (MIGRATION_LOCK,))
        ((encoding, ours, sessions),) = await connection.runQuery(
            "SELECT current_setting('server_encoding'), to_regclass('sandbox_schema'), to_regclass('sessions')"
        )
        if encoding != "UTF8":
            raise SettingError(f"DATABASE_URL names a database of encoding {encoding}: make one with UTF8")
        version = None
        if ours is not None:
            ((version,),) = await connection.runQuery("SELECT max(version) FROM sandbox_schema")
        steps = pending(self._migrations, version, sessions is not None)
        if version is None:
            await connection.runOperation(
                "CREATE TABLE sandbox_schema (version integer NOT NULL PRIMARY KEY, name text NOT NULL)"
            )
        for step in steps:
            await connection.runOperation(step.sql)
            await connection.runOperation(
                "INSERT INTO sandbox_schema (version, name) VALUES (%s, %s)", (step.version, step.name)
            )
        await connection.runOperation("COMMIT")

    async def _ping(self) -> None:
        await self._instance()
        if not self._writes.begin(self._reactor.seconds()):
            return
        try:
            await self._connections.run(lambda connection: connection.execute(_WRITE))
        except StoreUnavailable as error:
            self._writes.ended(error)
            raise
        self._writes.ended()

    async def _instance(self) -> str:
        ((name,),) = await self._connections.run(
            lambda connection: connection.query("SELECT name FROM sandbox_instance")
        )
        return str(name)

    async def _transaction(self, work: Work[T]) -> T:
        async def run(connection: Connection) -> tuple[T, Transaction]:
            transaction = transaction_on(connection)
            return await work(transaction), transaction

        result, transaction = await self._connections.run(run, write=True)
        committed(transaction)
        return result
