"""Whether a database can be written, found out by a write now and then. Pure: the time is passed in."""

from __future__ import annotations

from sandbox.domain.errors import StoreUnavailable


class WriteCheck:
    """What the last write said, and when the next one is due.

    :param interval: seconds between writes.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due = 0.0
        self._error: StoreUnavailable | None = None

    def begin(self, now: float) -> bool:
        """Whether a write is due; it counts as made.

        :raises StoreUnavailable: when none is, and the last one failed.
        """
        if now >= self._due:
            self._due = now + self._interval
            return True
        if self._error is not None:
            raise StoreUnavailable(self._error.message)
        return False

    def ended(self, error: StoreUnavailable | None = None) -> None:
        """How the write went."""
        self._error = error
