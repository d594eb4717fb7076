"""Connection pool for PostgreSQL: bounded, connecting on demand, discarding connections after any error."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg2
from psycopg2.extensions import parse_dsn
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IAddress, IHostResolution, IResolutionReceiver
from twisted.logger import Logger
from txpostgres.retrying import simpleBackoffIterator
from zope.interface import implementer

from sandbox.domain.errors import StoreUnavailable
from sandbox.net.instruments import PoolUsage
from sandbox.net.timers import timer
from sandbox.settings import SettingError
from sandbox.stores.limiter import ConcurrencyLimiter
from sandbox.stores.postgres.connection import Connection
from sandbox.stores.rows import in_use

T = TypeVar("T")
_log = Logger()

Rows = Sequence[tuple[Any, ...]]

#: Defaults that the URL may override. A Kerberos handshake would resolve names on the reactor's thread; without a
#: shorter keep-alive, an idle connection to a host that vanished would stay open for the kernel's two hours.
_DEFAULTS = {
    "host": "/var/run/postgresql",
    "port": "5432",
    "gssencmode": "disable",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "fallback_application_name": "sandbox",
}


class Connections:
    """Pool of at most ``size`` connections, each used by one call at a time.

    A call connects when no idle connection is available; a connection is discarded after any error. While the
    database is unavailable, calls fail immediately, and one of them retries after a back-off of 0.1 s that doubles up
    to 5 s.

    :param reactor: provides sockets, time and name resolution.
    :param url: ``postgresql://…`` with any libpq parameter; the reactor resolves host names, not libpq.
    :param queue: maximum of calls waiting for a connection; further ones are refused.
    :param timeout: timeout of a call in seconds, including queue and connecting; also ``statement_timeout``.
    :param prepare: runs once, on the first connection, before any call; its ``SettingError`` is propagated.
    :param read_only: whether the server rejects writes on these connections.
    :ivar prepared: whether ``prepare`` has succeeded.
    :raises SettingError: when libpq cannot parse the URL.
    """

    def __init__(
        self,
        reactor: Any,
        url: str,
        prepare: Callable[[Connection], Awaitable[None]],
        *,
        size: int,
        queue: int,
        timeout: float,
        read_only: bool = False,
    ) -> None:
        try:
            given = parse_dsn(url)
        except psycopg2.Error:
            # libpq's message would repeat parts of the URL, which contains a password.
            raise SettingError("DATABASE_URL must be postgresql://USER@HOST/NAME") from None
        self._parameters: dict[str, str] = {**_DEFAULTS, **given, "client_encoding": "UTF8"}
        self._reactor = reactor
        self._timeout = timeout
        self._read_only = read_only
        self._prepare = prepare
        self.prepared = False
        self._limiter = ConcurrencyLimiter(reactor, size=size, queue=queue, timeout=timeout)
        self._idle: list[Connection] = []
        self._lease = ""
        self._claiming = DeferredLock()
        self._claimed: Connection | None = None
        self._delays: Iterator[float] | None = None
        self._retry_at = 0.0

    @property
    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that identify the database's address."""
        address = "\n".join(self._parameters.get(name, "") for name in ("host", "port", "dbname"))
        return hashlib.sha256(address.encode()).hexdigest()[:12]

    @property
    def workers(self) -> PoolUsage:
        """Connections in use and length of the queue."""
        return self._limiter.workers

    def open(self) -> Deferred[None]:
        """Accept calls, and make a first connection.

        :raises StoreUnavailable: when the database is unavailable; later calls retry.
        :raises SettingError: from ``prepare``.
        """
        self._limiter.open()
        deadline = self._reactor.seconds() + self._timeout
        return self._limiter.run(lambda: Deferred.fromCoroutine(self._begin(deadline)))

    def acquire_lease(self, sql: str) -> Deferred[None]:
        """Acquire the lease on a dedicated connection, where ``sql`` returns true; required by every later call.

        :raises StoreUnavailable: when ``sql`` returns false, or the database is unavailable.
        """
        self._lease = sql
        deadline = self._reactor.seconds() + self._timeout
        return self._limiter.run(lambda: Deferred.fromCoroutine(self._see_to_claim(deadline)))

    async def close(self) -> None:
        """Drain the calls in progress, and close every connection."""
        await self._limiter.close()
        while self._idle:
            self._idle.pop().close()
        if self._claimed is not None:
            self._claimed.close()

    def run(self, work: Callable[[Connection], Awaitable[T]], *, write: bool = False) -> Deferred[T]:
        """Run statements on one connection: each in its own transaction, or, with ``write``, all of them in one.

        An exception from ``work`` rolls back and is propagated; a failed statement discards the connection.

        :raises StoreUnavailable: when a statement or the connection failed.
        :raises Overloaded: when the queue is full.
        """
        deadline = self._reactor.seconds() + self._timeout
        return self._limiter.run(lambda: Deferred.fromCoroutine(self._run(deadline, work, write)))

    async def _begin(self, deadline: float) -> None:
        self._release(self._take() or await self._connect(deadline))

    @property
    def _unclaimed(self) -> bool:
        return bool(self._lease) and not (self._claimed is not None and self._claimed.usable)

    async def _see_to_claim(self, deadline: float) -> None:
        async def claim(connection: Connection) -> None:
            rows: Rows = await connection.runQuery(self._lease)
            if not rows[0][0]:
                raise in_use()
            self._claimed = connection

        await self._claiming.acquire()
        try:
            if self._unclaimed:
                await self._connect_again(deadline, claim)
        finally:
            self._claiming.release()

    async def _run(self, deadline: float, work: Callable[[Connection], Awaitable[T]], write: bool) -> T:
        if self._unclaimed:
            await self._see_to_claim(deadline)
        connection = self._take() or await self._connect_again(deadline)
        expiry = timer(self._reactor, deadline - self._reactor.seconds(), connection.close)
        try:
            result = await (_in_transaction(connection, work) if write else work(connection))
        except Exception as error:
            if not connection.failed:
                self._release(connection)
                raise
            connection.close()
            _log.warn("PostgreSQL call failed: {reason}", reason=_reason(error))
            raise StoreUnavailable("The database does not answer") from error
        finally:
            expiry.stop()
        self._release(connection)
        return result

    def _take(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
            connection.close()
        return None

    def _release(self, connection: Connection) -> None:
        if connection.usable:
            self._idle.append(connection)
        else:
            connection.close()

    async def _connect_again(
        self, deadline: float, then: Callable[[Connection], Awaitable[None]] | None = None
    ) -> Connection:
        """Connect after the start, where a ``SettingError`` means that the database is unavailable."""
        try:
            return await self._connect(deadline, then)
        except SettingError as error:
            raise StoreUnavailable(str(error)) from error

    async def _connect(
        self, deadline: float, then: Callable[[Connection], Awaitable[None]] | None = None
    ) -> Connection:
        if self._reactor.seconds() < self._retry_at:
            raise StoreUnavailable("The database does not answer")
        connection = Connection(self._reactor)
        expiry = timer(self._reactor, deadline - self._reactor.seconds(), connection.close)
        try:
            await connection.connect(**await self._resolved(deadline))
            await connection.runQuery(
                "SELECT set_config(name, value, false) FROM (VALUES ('statement_timeout', %s),"
                " ('default_transaction_read_only', %s)) AS settings (name, value)",
                (f"{max(1, round(self._timeout * 1000))}ms", "on" if self._read_only else "off"),
            )
            if not self.prepared:
                await self._prepare(connection)
            if then is not None:
                await then(connection)
        except SettingError:
            connection.close()
            raise
        except Exception as error:
            connection.close()
            raise self._failed(error) from error
        finally:
            expiry.stop()
        if self._delays is not None:
            _log.info("PostgreSQL is available again")
        self.prepared, self._delays, self._retry_at = True, None, 0.0
        return connection

    def _failed(self, error: Exception) -> StoreUnavailable:
        reason = _reason(error)
        if self._delays is None:
            _log.error("PostgreSQL is unavailable: {reason}", reason=reason)
            self._delays = simpleBackoffIterator(initialDelay=0.05, maxDelay=5, factor=2, maxRetries=0, now=False)
        if self._reactor.seconds() >= self._retry_at:  # count concurrent failures once
            self._retry_at = self._reactor.seconds() + next(self._delays)
        return StoreUnavailable(f"The database does not answer: {reason}")

    async def _resolved(self, deadline: float) -> dict[str, str]:
        """Return the parameters with every address of every host, which libpq tries in order."""
        if "hostaddr" in self._parameters:
            return self._parameters
        hosts = self._parameters["host"].split(",")
        ports = self._parameters["port"].split(",")
        if len(ports) == 1:
            ports *= len(hosts)
        places: list[tuple[str, str, str]] = []
        for host, port in zip(hosts, ports, strict=True):
            found = resolve(self._reactor, host)
            found.addTimeout(max(0, deadline - self._reactor.seconds()), self._reactor)
            places += [(host, address, port) for address in await found]
        if not places:
            raise OSError(f"no address found for {self._parameters['host']}")
        names, addresses, numbers = (",".join(part) for part in zip(*places, strict=True))
        return {**self._parameters, "host": names, "hostaddr": addresses, "port": numbers}


async def _in_transaction(connection: Connection, work: Callable[[Connection], Awaitable[T]]) -> T:
    # Independent of the server's default isolation: work is not retried after a serialization failure.
    await connection.execute("BEGIN ISOLATION LEVEL READ COMMITTED")
    try:
        result = await work(connection)
    except Exception:
        if not connection.failed:
            await connection.execute("ROLLBACK")
        raise
    await connection.execute("COMMIT")
    return result


@implementer(IResolutionReceiver)
class _Addresses:
    """Collects the addresses of a name."""

    def __init__(self) -> None:
        self.found: Deferred[list[str]] = Deferred()
        self._addresses: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Ignored."""

    def addressResolved(self, address: IAddress) -> None:
        """Collect an address."""
        self._addresses.append(address.host)  # type: ignore[attr-defined]

    def resolutionComplete(self) -> None:
        """Fire with the collected addresses."""
        self.found.callback(list(dict.fromkeys(self._addresses)))


def resolve(reactor: Any, host: str) -> Deferred[list[str]]:
    """Resolve a host without blocking. A directory of Unix sockets resolves to ``""``, libpq's notation of none."""
    receiver = _Addresses()
    if host.startswith(("/", "@")):
        receiver.found.callback([""])
    elif isIPAddress(host) or isIPv6Address(host):
        receiver.found.callback([host])
    else:
        reactor.nameResolver.resolveHostName(receiver, host)
    return receiver.found


def _reason(error: Exception) -> str:
    """One line for the log, without statement and values."""
    if isinstance(error, StoreUnavailable):
        return error.message
    if isinstance(error, psycopg2.Error):
        message = error.diag.message_primary or str(error)
        code = f" ({error.pgcode})" if error.pgcode else ""
        return (message.strip().splitlines() or [type(error).__name__])[0] + code
    if isinstance(error, CancelledError):  # txpostgres reports statement_timeout this way
        return "the statement took too long"
    return f"{type(error).__name__}: {error}"
