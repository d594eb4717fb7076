"""Deletions that the database could not record: a full disk or an unavailable database does not prevent a deletion."""

from __future__ import annotations

import attrs

from sandbox.domain.errors import StoreUnavailable
from sandbox.domain.model import Phase, SessionRecord


class PendingDeletions:
    """Sessions that are deleted but still have a row; in memory only.

    If the daemon stops meanwhile, such a session has a row without container and workspace: reconciliation then marks
    it ``failed``, and it can be deleted again.

    :param limit: maximum number of sessions.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._sessions: set[str] = set()

    def add(self, session_id: str) -> None:
        """Record that a session is deleted, regardless of its row.

        :raises StoreUnavailable: when there are too many.
        """
        if session_id not in self._sessions and len(self._sessions) >= self._limit:
            raise StoreUnavailable("The database does not take deletions")
        self._sessions.add(session_id)

    def discard(self, session_id: str) -> None:
        """Remove a session whose row is deleted or records the deletion."""
        self._sessions.discard(session_id)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._sessions

    def __bool__(self) -> bool:
        return bool(self._sessions)

    def seen(self, record: SessionRecord | None) -> SessionRecord | None:
        """A row with the pending deletion applied."""
        return record if record is None or record.id not in self else attrs.evolve(record, phase=Phase.DELETING)
