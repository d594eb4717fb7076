"""Deletions that the database could not be told of: a full disk, or a database that is away, keeps no session alive."""

from __future__ import annotations

import attrs

from sandbox.domain.errors import StoreUnavailable
from sandbox.domain.model import Phase, SessionRecord


class PendingDeletions:
    """Sessions that are deleted although their rows do not say so yet; in memory only.

    A session that is in here when the daemon ends has no container and no workspace any more, and its row says nothing
    of it: reconciliation then marks it ``failed``, and it can be deleted again.

    :param limit: sessions at most.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._sessions: set[str] = set()

    def add(self, session_id: str) -> None:
        """Note that a session is deleted, whatever its row says.

        :raises StoreUnavailable: when there are too many.
        """
        if session_id not in self._sessions and len(self._sessions) >= self._limit:
            raise StoreUnavailable("The database does not take deletions")
        self._sessions.add(session_id)

    def discard(self, session_id: str) -> None:
        """Its row is gone, or says so."""
        self._sessions.discard(session_id)

    def __contains__(self, session_id: str) -> bool:
        return session_id in self._sessions

    def __bool__(self) -> bool:
        return bool(self._sessions)

    def seen(self, record: SessionRecord | None) -> SessionRecord | None:
        """A row as it should read."""
        return record if record is None or record.id not in self else attrs.evolve(record, phase=Phase.DELETING)
