"""Deadlines for many connections with one timer."""

from __future__ import annotations

import math
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: The deadline of whatever may take as long as it likes.
NEVER = math.inf
# Subjects that are told in one turn of the reactor: refusing as many heads takes about half a millisecond.
_AT_ONCE = 8


class Subject(Protocol):
    """Something with a deadline.

    :ivar deadline: the clock's time after which :meth:`expired` is called, or :data:`NEVER`.
    """

    deadline: float

    def expired(self, now: float) -> None:
        """Called once after the deadline passed; it has been set to :data:`NEVER` just before."""


class Deadlines:
    """Looks at every subject's deadline in one tick, so that moving a deadline is setting an attribute.

    A timer of its own for each connection costs more on each request than all these looks together: ten thousand
    connections are looked through in about a millisecond. Of those whose deadline has passed a few are told in each
    turn of the reactor: a thousand slow clients, whose time is up in the same moment, would have all others wait.

    :param interval: seconds between two looks; a deadline passes about this much late at most.
    """

    def __init__(self, clock: IReactorTime, interval: float = 0.5) -> None:
        self.clock = clock
        self.seconds = clock.seconds
        self._interval = interval
        self._subjects: set[Subject] = set()
        self._call: IDelayedCall | None = None

    def __len__(self) -> int:
        return len(self._subjects)

    def add(self, subject: Subject) -> None:
        """Look at ``subject`` from now on."""
        self._subjects.add(subject)
        if self._call is None:
            self._call = self.clock.callLater(self._interval, self._look)

    def discard(self, subject: Subject) -> None:
        """Look at it no more; with the last one the timer ends too."""
        self._subjects.discard(subject)
        # While some are told there is no timer to end: another one begins after that, if anybody is left.
        if not self._subjects and self._call is not None and self._call.active():
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        now = self.seconds()
        self._expire([subject for subject in self._subjects if subject.deadline <= now])

    def _expire(self, late: list[Subject]) -> None:
        """Tell some; the rest has its turn after the events that came meanwhile."""
        now = self.seconds()
        some, late[-_AT_ONCE:] = late[-_AT_ONCE:], []
        for subject in some:
            # An earlier one's end may have moved this one's deadline, or ended it.
            if subject.deadline <= now and subject in self._subjects:
                subject.deadline = NEVER
                try:
                    subject.expired(now)
                except Exception:
                    _log.failure("what {subject} does when its time is up failed", subject=type(subject).__name__)
        if not self._subjects:
            self._call = None
        elif late:
            self._call = self.clock.callLater(0, self._expire, late)
        else:
            self._call = self.clock.callLater(self._interval, self._look)
