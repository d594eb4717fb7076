"""Deadlines of many connections with a single timer."""

from __future__ import annotations

import math
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: No deadline.
NEVER = math.inf
# Subjects expired in one turn of the reactor: rejecting this many request heads takes about half a millisecond.
_AT_ONCE = 8


class Subject(Protocol):
    """An object with a deadline.

    :ivar deadline: time after which :meth:`expired` is called, on the clock of :class:`Deadlines`, or :data:`NEVER`.
    """

    deadline: float

    def expired(self, now: float) -> None:
        """Called once after the deadline passed, and after it was reset to :data:`NEVER`."""


class Deadlines:
    """Checks the deadlines of all subjects periodically, so that moving a deadline only sets an attribute.

    A timer per connection would cost more per request than all these checks together: ten thousand connections are
    checked in about a millisecond. Expired subjects are called in small batches, one per turn of the reactor, so that
    a thousand slow clients that expire together do not delay the others.

    :param interval: seconds between two checks; the maximum delay of an expiry.
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
        """Start checking ``subject``."""
        self._subjects.add(subject)
        if self._call is None:
            self._call = self.clock.callLater(self._interval, self._look)

    def discard(self, subject: Subject) -> None:
        """Stop checking ``subject``; the timer stops with the last one."""
        self._subjects.discard(subject)
        # During an expiry there is no timer to stop: the next one starts afterwards, if subjects are left.
        if not self._subjects and self._call is not None and self._call.active():
            self._call.cancel()
            self._call = None

    def _look(self) -> None:
        now = self.seconds()
        self._expire([subject for subject in self._subjects if subject.deadline <= now])

    def _expire(self, late: list[Subject]) -> None:
        """Expire a batch; schedule the rest after the reactor's pending events."""
        now = self.seconds()
        some, late[-_AT_ONCE:] = late[-_AT_ONCE:], []
        for subject in some:
            # The expiry of an earlier subject may have moved this deadline, or discarded this subject.
            if subject.deadline <= now and subject in self._subjects:
                subject.deadline = NEVER
                try:
                    subject.expired(now)
                except Exception:
                    _log.failure("expiry of {subject} failed", subject=type(subject).__name__)
        if not self._subjects:
            self._call = None
        elif late:
            self._call = self.clock.callLater(0, self._expire, late)
        else:
            self._call = self.clock.callLater(self._interval, self._look)
