"""Log output: the observer that twistd installs."""

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
    """Writes each event as a line, unbuffered: events before a crash are not lost.

    A line to a file is one ``write`` into the page cache; to a pipe, a socket or a terminal it is written in pieces
    that do not block. On failure (a full disk, a pipe that is not read) the line is dropped and counted: logging must
    neither end the daemon nor block it.

    :param place: the path of a file to append to, or an open descriptor.
    :param form: ``text``, ``json``, or ``auto``: text on a terminal, JSON elsewhere.
    :param level: the lowest level to write, one of :data:`LEVELS`.
    :raises OSError: when the file cannot be opened.
    :ivar events: number of events by level.
    :ivar dropped: number of lines that could not be written.
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
        """Observe an event."""
        self._filtered(event)

    def set_level(self, name: str) -> None:
        """Set the lowest level to write.

        :raises ValueError: when it is not in :data:`LEVELS`.
        """
        if name not in LEVELS:
            raise ValueError(f"the log's level must be one of {', '.join(LEVELS)}, not {name!r}")
        self._predicate.setLogLevelForNamespace("", LogLevel.levelWithName(name))

    def reopen(self) -> None:
        """Reopen the file by its name, after log rotation; no-op without a file.

        On failure, the log continues in the old file.
        """
        if self._path is None:
            return
        try:
            descriptor, before = _opened(self._path), self._descriptor
        except OSError as error:
            _log.error("cannot reopen the log file: {reason}", reason=error.strerror, path=self._path)
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
        # A writable pipe accepts this many bytes without blocking (pipe(7)).
        return os.write(self._descriptor, line[: select.PIPE_BUF])


def _room(descriptor: int) -> select.poll | None:
    """A poll object to check whether writing would block; ``None`` for a regular file, which never does."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return None
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room


def _opened(path: str) -> int:
    # Readable by the group, so that log collectors need not be root; subject to the umask.
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
