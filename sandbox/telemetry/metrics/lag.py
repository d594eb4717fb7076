"""Reactor lag: the delay of timers, which shows whether something blocks the reactor."""

from __future__ import annotations

from sandbox.net.instruments import Histogram
from sandbox.scheduling.scheduler import Job, Scheduler

#: Seconds between two measurements.
INTERVAL = 0.5
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Lag:
    """A job that records its own delays.

    :ivar durations: delays in seconds.
    """

    _job: Job

    def __init__(self) -> None:
        self.durations = Histogram(BOUNDS)

    def start(self, scheduler: Scheduler) -> None:
        """Start to measure."""
        self._job = scheduler.every(INTERVAL, "reactor-lag", self._measure)

    def _measure(self) -> None:
        self.durations.add(max(0.0, self._job.late))
