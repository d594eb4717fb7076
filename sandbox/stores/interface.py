"""The seam to where rows are kept. ``tests/contracts/store.py`` is the suite that every implementation passes."""

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
    """Where a page of sessions ended: the sort key of its last row."""

    created_at: datetime
    id: str


class ISessions(Interface):
    """The rows of sessions, within a transaction."""

    def add(record: SessionRecord) -> Awaitable[None]:
        """Insert a row. A session begins without links, whatever an earlier one of that id left.

        :raises SessionExists: when the id is taken; of two at once exactly one succeeds.
        """

    def get(session_id: str) -> Awaitable[SessionRecord | None]:
        """The row, or ``None``."""

    def replace(record: SessionRecord) -> Awaitable[None]:
        """Overwrite the row of ``record.id``.

        :raises SessionNotFound: when there is none.
        """

    def remove(session_id: str) -> Awaitable[None]:
        """Delete the row and the session's links; nothing happens when there are none."""

    def page(user_id: str | None, after: Position | None, limit: int) -> Awaitable[Sequence[SessionRecord]]:
        """Up to ``limit`` rows, newest first (``created_at`` then ``id``, descending), strictly after a position."""

    def owner(session_id: str) -> Awaitable[str | None]:
        """The user id that owns a session, or ``None`` when there is no such session."""


class ILinks(Interface):
    """Preview links, within a transaction."""

    def add(link: Link) -> Awaitable[None]:
        """Keep a link. Its session need not have a row: containers that another program made are served too.

        :raises Conflict: when its id is taken.
        """

    def get(link_id: str) -> Awaitable[Link | None]:
        """The link, expired or not, or ``None``."""

    def remove(link_id: str) -> Awaitable[None]:
        """Revoke a link; nothing happens when there is none."""

    def remove_expired(now: datetime) -> Awaitable[int]:
        """Sweep the links that ended at ``now`` or before, and say how many those were."""


@attrs.frozen
class Transaction:
    """What one transaction reads and writes, by aggregate."""

    sessions: ISessions
    links: ILinks
    after_commit: list[Callable[[], object]] = attrs.field(factory=list)

    def call_after(self, function: Callable[[], object]) -> None:
        """Call ``function`` on the reactor's thread once this is committed, and never when it is not.

        It is called also when the transaction's caller has stopped waiting. What it raises is logged.
        """
        self.after_commit.append(function)


#: The body of a transaction. It awaits nothing but methods of its transaction's aggregates, and may be run in a thread.
Work = Callable[[Transaction], Awaitable[T]]


class IStore(Interface):
    """Rows of sessions and links, changed in transactions.

    Every method returns at once and never raises synchronously. Each fails with

    - ``StoreUnavailable`` when the database does not answer in time, is away, or the store is not open;
    - ``Overloaded`` when too many calls wait for the database already;
    - ``InvalidRequest`` for an id or user id that no database can keep (NUL, unpaired surrogates, over 1024 bytes).

    A transaction whose ``Deferred`` fired is on disk. One that failed with ``StoreUnavailable``, or was cancelled, may
    have been done, or be done yet: look again later, and do not take what is there a moment after for the last word.
    Cancelling takes back a call that still waits for its turn; one that has begun goes on unseen, for neither a
    thread nor a query half sent can be called back. So what must not be left half done should not be cancelled but
    waited for: every call ends in time by itself.

    Timestamps are aware, and come back in UTC to the microsecond.
    """

    read_only = Attribute(
        """Whether the sessions table belongs to a platform (``SESSIONS_READ_ONLY``): then every method of ``sessions``
        but ``owner`` fails with ``SessionsReadOnly``, and links are kept in memory."""
    )

    workers = Attribute(
        """How many connections (SQLite: threads) are in use and how many calls wait, a
        :class:`~sandbox.net.instruments.PoolUsage`."""
    )

    def open() -> Deferred[None]:
        """Connect, and create or migrate the schema.

        :raises SettingError: when the database can never serve as it is: written by a newer version, not ours, damaged.
        """

    def acquire_lease() -> Deferred[None]:
        """Be the only one who works with this database, until :meth:`close` or the end of the process.

        When a lease is lost with its connection, calls fail until it could be acquired again. A database that is
        only read (``read_only``) needs none.

        :raises StoreUnavailable: while another process holds it, or when that cannot be told.
        """

    def close() -> Deferred[None]:
        """Let the calls that run come to their end, fail those that wait, and let go of every connection and thread."""

    def ping() -> Deferred[None]:
        """Ask the database for an answer."""

    def instance() -> Deferred[str]:
        """The name of this installation (12 hexadecimal digits), made once and kept; labels on the engine carry it."""

    def transaction(name: str, work: Work[Any], *, erases: bool = False) -> Deferred[Any]:
        """Run ``work`` in one transaction: all of it is committed, or, when it raises, none of it.

        :param name: what it is counted as.
        :param erases: whether it deletes, or begins a deletion: a full disk then releases what is reserved for that.
        """

    def read(name: str, work: Work[Any]) -> Deferred[Any]:
        """Run ``work``, which writes nothing, without the cost of a transaction: each of its statements sees what is
        committed when it begins.

        :param name: what it is counted as.
        """
