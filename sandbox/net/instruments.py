"""Cheap instruments, read by :mod:`sandbox.telemetry.metrics` at each scrape."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

#: Upper bounds in seconds, from a preview request to the longest command.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)


class Histogram:
    """A histogram of durations.

    :param bounds: upper bounds in seconds, ascending; a duration counts for the first that it does not exceed.
    :ivar counts: number of durations per bound, and last the number beyond all bounds.
    :ivar total: sum of durations in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Record a duration.

        >>> durations = Histogram((0.1, 1))
        >>> durations.add(0.1); durations.add(5); durations.counts, durations.total
        ([1, 0, 1], 5.1)
        """
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class CallStats:
    """Durations and errors of one kind of call.

    :ivar errors: number of errors by kind, from a small set of names.
    """

    __slots__ = ("durations", "errors")

    def __init__(self) -> None:
        self.durations = Histogram()
        self.errors: Counter[str] = Counter()


class PoolUsage:
    """Usage of a bounded pool of threads or connections.

    :ivar size: maximum number of members.
    :ivar busy: number in use.
    :ivar waiting: length of the queue.
    """

    __slots__ = ("busy", "size", "waiting")

    def __init__(self, size: int, busy: int = 0, waiting: int = 0) -> None:
        self.size = size
        self.busy = busy
        self.waiting = waiting
