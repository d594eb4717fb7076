"""The seam to where sessions are kept. ``tests/contracts/store.py`` is the suite that every implementation passes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import attrs
from twisted.internet.defer import Deferred
from zope.interface import Interface

from sandbox.model import SessionRecord


@attrs.frozen
class Position:
    """Where a page of sessions ended: the sort key of its last row."""

    created_at: datetime
    id: str


class ISessionStore(Interface):
    """Rows of sessions. Methods never raise synchronously; they fail with ``StoreUnavailable`` when the database is away."""

    def open() -> Deferred[None]:  # type: ignore[misc]
        """Connect, and create or migrate the schema."""

    def close() -> Deferred[None]:  # type: ignore[misc]
        """Let go of every connection and thread."""

    def ping() -> Deferred[None]:  # type: ignore[misc]
        """Ask the database for a sign of life."""

    def instance() -> Deferred[str]:  # type: ignore[misc]
        """The name of this installation (12 hexadecimal digits), made once and kept; labels on the engine carry it."""

    def add(record: SessionRecord) -> Deferred[None]:  # type: ignore[misc]
        """Insert a row.

        :raises SessionExists: when the id is taken; of two at once exactly one succeeds.
        """

    def get(session_id: str) -> Deferred[SessionRecord | None]:  # type: ignore[misc]
        """The row, or ``None``."""

    def replace(record: SessionRecord) -> Deferred[None]:  # type: ignore[misc]
        """Overwrite the row of ``record.id``.

        :raises SessionNotFound: when there is none.
        """

    def remove(session_id: str) -> Deferred[None]:  # type: ignore[misc]
        """Delete the row; nothing happens when there is none."""

    def page(user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:  # type: ignore[misc]
        """Up to ``limit`` rows, newest first (``created_at`` then ``id``, descending), strictly after a position."""

    def owner(session_id: str) -> Deferred[str | None]:  # type: ignore[misc]
        """The user id that owns a session, or ``None`` when there is no such session."""
