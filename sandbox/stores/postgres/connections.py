"""Connections to PostgreSQL: few, made when they are needed, thrown away at the first doubt, never waited for long."""

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

#: What the URL may override. A Kerberos handshake would look up names on the reactor's thread; a peer that vanished
#: without a word would hold an idle connection for the two hours of the kernel's own keep-alive.
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
    """The pool: at most ``size`` connections, each used by one call at a time.

    A connection is made by the call that needs it, and thrown away after any error. While connecting fails, calls
    fail at once, and one in a while (0.1 s and doubling, up to 5 s) tries again: so a database that comes back is
    found by itself, and one that stays away costs nothing.

    :param reactor: sockets, time and name resolution.
    :param url: ``postgresql://…`` with all that libpq knows; a host name is resolved by the reactor, not by libpq.
    :param queue: calls that may wait for a connection before more are refused.
    :param timeout: seconds that a call may take, waiting and connecting included; the server's ``statement_timeout``.
    :param prepare: what is done once, on the first connection, before any call: its ``SettingError`` is passed on.
    :param read_only: whether the server is to refuse writes on these connections.
    :ivar prepared: whether that has been done.
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
            # libpq's own message repeats parts of the URL, and it holds a password.
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
        """Twelve hexadecimal digits that stand for the database's address."""
        address = "\n".join(self._parameters.get(name, "") for name in ("host", "port", "dbname"))
        return hashlib.sha256(address.encode()).hexdigest()[:12]

    @property
    def workers(self) -> PoolUsage:
        """How many of them are in use, and how many calls wait."""
        return self._limiter.workers

    def open(self) -> Deferred[None]:
        """Accept calls, and make a first connection.

        :raises StoreUnavailable: when the database does not answer; later calls will try again.
        :raises SettingError: by ``prepare``.
        """
        self._limiter.open()
        deadline = self._reactor.seconds() + self._timeout
        return self._limiter.run(lambda: Deferred.fromCoroutine(self._begin(deadline)))

    def acquire_lease(self, sql: str) -> Deferred[None]:
        """Have a connection beside the others on which ``sql`` answered true, and from now on no call without one.

        :raises StoreUnavailable: when it answered false, or not.
        """
        self._lease = sql
        deadline = self._reactor.seconds() + self._timeout
        return self._limiter.run(lambda: Deferred.fromCoroutine(self._see_to_claim(deadline)))

    async def close(self) -> None:
        """Wait for the calls that run, and close every connection."""
        await self._limiter.close()
        while self._idle:
            self._idle.pop().close()
        if self._claimed is not None:
            self._claimed.close()

    def run(self, work: Callable[[Connection], Awaitable[T]], *, write: bool = False) -> Deferred[T]:
        """Run statements on one connection: each a transaction of its own, or, to ``write``, all of them in one.

        What ``work`` raises rolls back and is passed on; after a failure of a statement the connection is thrown away.

        :raises StoreUnavailable: when that failed for any other reason.
        :raises Overloaded: when too many calls wait already.
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
            _log.warn("PostgreSQL failed a call: {reason}", reason=_reason(error))
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
        """Connect to a database that was there: what would be a wrong setting at the start is its failure now."""
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
            _log.info("PostgreSQL answers again")
        self.prepared, self._delays, self._retry_at = True, None, 0.0
        return connection

    def _failed(self, error: Exception) -> StoreUnavailable:
        reason = _reason(error)
        if self._delays is None:
            _log.error("PostgreSQL does not answer: {reason}", reason=reason)
            self._delays = simpleBackoffIterator(initialDelay=0.05, maxDelay=5, factor=2, maxRetries=0, now=False)
        if self._reactor.seconds() >= self._retry_at:  # of several that fail at once, one counts
            self._retry_at = self._reactor.seconds() + next(self._delays)
        return StoreUnavailable(f"The database does not answer: {reason}")

    async def _resolved(self, deadline: float) -> dict[str, str]:
        """The parameters with every address of every host; libpq tries them in turn."""
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
    # In this isolation whatever the server's default is: nothing here is written to be tried again.
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
    """Collects what a name resolves to."""

    def __init__(self) -> None:
        self.found: Deferred[list[str]] = Deferred()
        self._addresses: list[str] = []

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """Nothing to do yet."""

    def addressResolved(self, address: IAddress) -> None:
        """One more."""
        self._addresses.append(address.host)  # type: ignore[attr-defined]

    def resolutionComplete(self) -> None:
        """That was all."""
        self.found.callback(list(dict.fromkeys(self._addresses)))


def resolve(reactor: Any, host: str) -> Deferred[list[str]]:
    """The addresses of a host, without blocking; a socket's directory has the address that libpq reads as none."""
    receiver = _Addresses()
    if host.startswith(("/", "@")):
        receiver.found.callback([""])
    elif isIPAddress(host) or isIPv6Address(host):
        receiver.found.callback([host])
    else:
        reactor.nameResolver.resolveHostName(receiver, host)
    return receiver.found


def _reason(error: Exception) -> str:
    """One line for the log: no statement, no values."""
    if isinstance(error, StoreUnavailable):
        return error.message
    if isinstance(error, psycopg2.Error):
        message = error.diag.message_primary or str(error)
        code = f" ({error.pgcode})" if error.pgcode else ""
        return (message.strip().splitlines() or [type(error).__name__])[0] + code
    if isinstance(error, CancelledError):  # what txpostgres makes of a statement_timeout
        return "the statement took too long"
    return f"{type(error).__name__}: {error}"
