"""The seam to where sessions are kept. ``tests/contracts/store.py`` is the suite that every implementation passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Attribute, Interface

from sandbox.domain.model import Link, SessionRecord


@attrs.frozen
class Position:
    """Where a page of sessions ended: the sort key of its last row."""

    created_at: datetime
    id: str


class ISessionStore(Interface):
    """Rows of sessions, and the preview links that were made for them.

    Every method returns at once and never raises synchronously. Each fails with

    - ``StoreUnavailable`` when the database does not answer in time, is away, or the store is not open;
    - ``Overloaded`` when too many calls wait for the database already;
    - ``InvalidRequest`` for an id or user id that no database can keep (NUL, unpaired surrogates, over 1024 bytes).

    A write whose ``Deferred`` fired is on disk. One that failed with ``StoreUnavailable``, or was cancelled, may have
    been done, or be done yet: look again later, and do not take what is there a moment after for the last word.
    Cancelling takes back a call that still waits for its turn; one that has begun goes on unseen, for neither a
    thread nor a query half sent can be called back. So what must not be left half done should not be cancelled but
    waited for: every call ends in time by itself.

    Timestamps are aware, and come back in UTC to the microsecond.
    """

    read_only = Attribute(
        """Whether the sessions table belongs to a platform (``SESSIONS_READ_ONLY``): then ``add``, ``get``,
        ``replace``, ``remove`` and ``page`` fail with ``SessionsReadOnly``, ``owner`` works, and links are kept in
        memory."""
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

        When a claim is lost with its connection, calls fail until it could be made anew. What nobody writes to
        (``read_only``) is nobody's alone.

        :raises StoreUnavailable: while somebody else is, or when that cannot be told.
        """

    def close() -> Deferred[None]:
        """Let the calls that run come to their end, fail those that wait, and let go of every connection and thread."""

    def ping() -> Deferred[None]:
        """Ask the database for a sign of life."""

    def instance() -> Deferred[str]:
        """The name of this installation (12 hexadecimal digits), made once and kept; labels on the engine carry it."""

    def add(record: SessionRecord) -> Deferred[None]:
        """Insert a row. A session begins without links, whatever an earlier one of that id left.

        :raises SessionExists: when the id is taken; of two at once exactly one succeeds.
        """

    def get(session_id: str) -> Deferred[SessionRecord | None]:
        """The row, or ``None``."""

    def replace(record: SessionRecord) -> Deferred[None]:
        """Overwrite the row of ``record.id``.

        :raises SessionNotFound: when there is none.
        """

    def remove(session_id: str) -> Deferred[None]:
        """Delete the row and the session's links; nothing happens when there are none."""

    def page(user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:
        """Up to ``limit`` rows, newest first (``created_at`` then ``id``, descending), strictly after a position."""

    def owner(session_id: str) -> Deferred[str | None]:
        """The user id that owns a session, or ``None`` when there is no such session."""

    def add_link(link: Link) -> Deferred[None]:
        """Keep a link. Its session need not have a row: containers that another program made are served too.

        :raises Conflict: when its id is taken.
        """

    def get_link(link_id: str) -> Deferred[Link | None]:
        """The link, expired or not, or ``None``."""

    def remove_link(link_id: str) -> Deferred[None]:
        """Revoke a link; nothing happens when there is none."""

    def remove_expired_links(now: datetime) -> Deferred[int]:
        """Sweep the links that ended at ``now`` or before; fires with their number."""
