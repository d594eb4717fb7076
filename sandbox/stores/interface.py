"""Interface of stores. Every implementation passes the contract suite ``tests/contracts/store.py``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from sandbox.domain.model import Link, SessionRecord

T = TypeVar("T")


@attrs.frozen
class Position:
    """Position after a page of sessions: the sort key of its last row."""

    created_at: datetime
    id: str


class ISessions(Interface):
    """The rows of sessions, within a transaction."""

    def add(record: SessionRecord) -> Awaitable[None]:
        """Insert a row, and delete links left by an earlier session of that id.

        :raises SessionExists: when the id is taken; of two concurrent calls exactly one succeeds.
        """

    def get(session_id: str) -> Awaitable[SessionRecord | None]:
        """Return the row, or ``None``."""

    def replace(record: SessionRecord) -> Awaitable[None]:
        """Overwrite the row of ``record.id``.

        :raises SessionNotFound: when there is none.
        """

    def remove(session_id: str) -> Awaitable[None]:
        """Delete the row and the session's links. Idempotent."""

    def page(user_id: str | None, after: Position | None, limit: int) -> Awaitable[Sequence[SessionRecord]]:
        """Return up to ``limit`` rows strictly after a position, by ``created_at`` then ``id``, both descending."""

    def owner(session_id: str) -> Awaitable[str | None]:
        """Return the user id that owns a session, or ``None`` when there is no such session."""


class ILinks(Interface):
    """Preview links, within a transaction."""

    def add(link: Link) -> Awaitable[None]:
        """Insert a link. Its session may have no row: containers created by other programs have previews, too.

        :raises Conflict: when its id is taken.
        """

    def get(link_id: str) -> Awaitable[Link | None]:
        """Return the link, expired or not, or ``None``."""

    def remove(link_id: str) -> Awaitable[None]:
        """Delete a link. Idempotent."""

    def remove_expired(now: datetime) -> Awaitable[int]:
        """Delete the links that expired at or before ``now``, and return their number."""


@attrs.frozen
class Transaction:
    """A transaction, with one attribute per aggregate."""

    sessions: ISessions
    links: ILinks
    after_commit: list[Callable[[], object]] = attrs.field(factory=list)

    def call_after(self, function: Callable[[], object]) -> None:
        """Call ``function`` on the reactor's thread after the commit, and never after a rollback.

        Called also when the transaction was cancelled meanwhile. Exceptions are logged.
        """
        self.after_commit.append(function)


#: The body of a transaction. It may await only methods of its transaction's aggregates, and may run in a thread.
Work = Callable[[Transaction], Awaitable[T]]


class IStore(Interface):
    """Rows of sessions and links, changed in transactions.

    Every method returns immediately and never raises synchronously. Each fails with

    - ``StoreUnavailable`` when the database is unavailable or times out, or the store is not open;
    - ``Overloaded`` when the queue of waiting calls is full;
    - ``InvalidRequest`` for an id or user id that cannot be stored (NUL, unpaired surrogates, over 1024 bytes).

    A transaction whose ``Deferred`` fired is durable. The outcome of one that failed with ``StoreUnavailable``, or was
    cancelled, is unknown: it may have been committed, or be committed later. Cancelling removes a call from the queue;
    one that has begun continues in the background, since neither a thread nor a query in flight can be interrupted.
    Callers that must not leave work half done wait rather than cancel: every call ends within its timeout.

    Timestamps are aware, and are returned in UTC with microseconds.
    """

    read_only = Attribute(
        """Whether the sessions table belongs to a platform (``SESSIONS_READ_ONLY``): then every method of ``sessions``
        except ``owner`` fails with ``SessionsReadOnly``, and links are kept in memory."""
    )

    workers = Attribute(
        """Usage of connections (SQLite: threads) and length of the queue, a
        :class:`~sandbox.net.instruments.PoolUsage`."""
    )

    def open() -> Deferred[None]:
        """Connect, and create or migrate the schema.

        :raises SettingError: for a database that cannot be used: written by a newer version, not ours, damaged.
        """

    def acquire_lease() -> Deferred[None]:
        """Acquire exclusive use of this database, until :meth:`close` or the end of the process.

        When the lease is lost with its connection, calls fail until it is acquired again. A read-only database
        (``read_only``) needs none.

        :raises StoreUnavailable: while another process holds it, or when the database is unavailable.
        """

    def close() -> Deferred[None]:
        """Drain the calls in progress, fail those in the queue, and release every connection and thread."""

    def ping() -> Deferred[None]:
        """Ping the database."""

    def instance() -> Deferred[str]:
        """Return this installation's name (12 hexadecimal digits, persistent), used in labels on the engine."""

    def transaction(name: str, work: Work[Any], *, erases: bool = False) -> Deferred[Any]:
        """Run ``work`` in one transaction: all of it is committed, or, when it raises, none of it.

        :param name: its name in call statistics.
        :param erases: whether it deletes, or begins a deletion: on a full disk the store then releases its reserve.
        """

    def read(name: str, work: Work[Any]) -> Deferred[Any]:
        """Run read-only ``work`` without the cost of a transaction: each statement sees what is committed when it
        begins.

        :param name: its name in call statistics.
        """
