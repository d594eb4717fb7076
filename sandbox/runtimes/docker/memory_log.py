"""Logs out-of-memory kills in containers: at most one line per session and minute."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from sandbox.net.timers import Timer, timer

_log = Logger()

#: Seconds for which further kills of a session are counted instead of logged.
_WINDOW = 60.0


class MemoryLog:
    """Counts out-of-memory kills by session. The first kill of a session is logged at once and opens a window of a
    minute; the window's end logs the count of the others. Only open windows occupy memory.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._counts: dict[str, int] = {}
        self._timers: dict[str, Timer] = {}

    def killed(self, session_id: str) -> None:
        """Record that the kernel killed a process of a session for lack of memory."""
        if session_id in self._counts:
            self._counts[session_id] += 1
            return
        _log.warn("session={session} ran out of memory", session=session_id)
        self._open(session_id)

    def close(self) -> None:
        """Log the pending counts and stop all windows."""
        for session_id in list(self._timers):
            self._timers.pop(session_id).stop()
            self._say(session_id, self._counts.pop(session_id))

    def _open(self, session_id: str) -> None:
        self._counts[session_id] = 0
        self._timers[session_id] = timer(self._clock, _WINDOW, self._end, session_id)

    def _end(self, session_id: str) -> None:
        del self._timers[session_id]
        count = self._counts.pop(session_id)
        if count:
            self._say(session_id, count)
            self._open(session_id)

    def _say(self, session_id: str, count: int) -> None:
        if count:
            _log.warn(
                "session={session} ran out of memory {count} more times within a minute",
                session=session_id,
                count=count,
            )
