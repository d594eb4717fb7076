"""Where log lines go: the observer that twistd starts the log with."""

from __future__ import annotations

import os
import select
import stat
from collections import Counter
from typing import cast

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
)
from zope.interface import implementer

from sandbox.net.log_context import ORIGIN
from sandbox.telemetry.logs.formats import json_line, text_line

_log = Logger()

LEVELS = tuple(level.name for level in LogLevel.iterconstants())
STDOUT, STDERR = 1, 2


@implementer(ILogObserver)
class Output:
    """Writes each event as a line, at once and unbuffered: what was logged before a crash is there after it.

    A line is one ``write``, which the page cache takes at the speed of memory; to a pipe, a socket or a terminal it
    goes in pieces that fit at once. What is refused (by a full disk, a pipe that is not read) is dropped and counted: a
    log that fails must neither end the daemon nor hold it up.

    :param place: the path of a file, which lines are appended to, or a descriptor that is open already.
    :param form: ``text``, ``json``, or ``auto``: text on a terminal, JSON elsewhere.
    :param level: the lowest level that is written, one of :data:`LEVELS`.
    :raises OSError: when the file cannot be opened.
    :ivar events: how many were written, by level.
    :ivar dropped: lines that could not be written.
    """

    def __init__(self, place: str | int, *, form: str = "auto", level: str = "info") -> None:
        self._path = os.path.abspath(place) if isinstance(place, str) else None
        self._descriptor = _opened(self._path) if self._path is not None else cast(int, place)
        self._room = _room(self._descriptor)
        text = form == "text" or (form == "auto" and os.isatty(self._descriptor))
        self._line = text_line if text else json_line
        self._predicate = LogLevelFilterPredicate()
        self._filtered = FilteringLogObserver(self._write_event, [self._predicate])  # type: ignore[arg-type]
        self._torn = False
        self.events: Counter[str] = Counter()
        self.dropped = 0
        self.set_level(level)

    def __call__(self, event: LogEvent) -> None:
        """Take an event."""
        self._filtered(event)

    def set_level(self, name: str) -> None:
        """Write events of this level and above from now on.

        :raises ValueError: when it is none of :data:`LEVELS`.
        """
        if name not in LEVELS:
            raise ValueError(f"the log's level must be one of {', '.join(LEVELS)}, not {name!r}")
        self._predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))

    def reopen(self) -> None:
        """Open the file by its name again, so that one that was moved away is let go of; nothing without a file.

        When that fails, the log goes on where it was.
        """
        if self._path is None:
            return
        try:
            descriptor, before = _opened(self._path), self._descriptor
        except OSError as error:
            _log.error("the log file cannot be opened again: {reason}", reason=error.strerror, path=self._path)
            return
        self._descriptor, self._room = descriptor, _room(descriptor)
        os.close(before)

    def _write_event(self, event: LogEvent) -> None:
        level = event.get("log_level")
        self.events["info" if level is None else level.name] += 1
        self._write(self._line(event, ORIGIN.get()))

    def _write(self, line: bytes) -> None:
        if self._torn:
            line = b"\n" + line
        whole = len(line)
        try:
            while line:
                line = line[self._write_some(line) :]
            self._torn = False
        except OSError:
            self._torn = self._torn or len(line) < whole
            self.dropped += 1

    def _write_some(self, line: bytes) -> int:
        if self._room is None:
            return os.write(self._descriptor, line)
        if not self._room.poll(0):
            raise BlockingIOError
        # A pipe that has room has room for this much (pipe(7)).
        return os.write(self._descriptor, line[: select.PIPE_BUF])


def _room(descriptor: int) -> select.poll | None:
    """What tells whether writing would block; ``None`` for a file, which does not."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room


def _opened(path: str) -> int:
    # Readable by the group, so that a collector of logs need not be root; the umask may take that away.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
