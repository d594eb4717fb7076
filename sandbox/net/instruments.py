"""Instruments that cost next to nothing to keep; :mod:`sandbox.telemetry.metrics` reads them when it is scraped."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

#: Upper bounds in seconds, from what a preview takes to the longest command.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)


class Histogram:
    """A histogram of durations.

    :param bounds: upper bounds in seconds, ascending; a duration counts for the first that it does not exceed.
    :ivar counts: how many fell to each bound, and last, beyond all of them.
    :ivar total: their sum in seconds.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def add(self, seconds: float) -> None:
        """Count one more.

        >>> durations = Histogram((0.1, 1))
        >>> durations.add(0.1); durations.add(5); durations.counts, durations.total
        ([1, 0, 1], 5.1)
        """
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds


class CallStats:
    """How long the calls of one kind take, and how many of them fail.

    :ivar errors: by a word for what went wrong, of which there are few.
    """

    __slots__ = ("durations", "errors")

    def __init__(self) -> None:
        self.durations = Histogram()
        self.errors: Counter[str] = Counter()


class PoolUsage:
    """How much of a bounded number of threads or connections is in use.

    :ivar size: how many there are at most.
    :ivar busy: how many are at work now.
    :ivar waiting: how much work waits for one of them.
    """

    __slots__ = ("busy", "size", "waiting")

    def __init__(self, size: int, busy: int = 0, waiting: int = 0) -> None:
        self.size = size
        self.busy = busy
        self.waiting = waiting
