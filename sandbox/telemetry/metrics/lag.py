"""How late the reactor comes to what it should do: the one number that tells whether something blocks it."""

from __future__ import annotations

from time import monotonic

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from sandbox.net.instruments import Histogram

#: Seconds between two measurements.
INTERVAL = 0.5
BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Lag:
    """Sets itself an alarm again and again, and counts how late it was.

    :ivar durations: in seconds.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._alarm: IDelayedCall | None = None
        self._due = 0.0
        self.durations = Histogram(BOUNDS)

    def start(self) -> None:
        """Begin to measure."""
        self._due = monotonic() + INTERVAL
        self._alarm = self._clock.callLater(INTERVAL, self._ring)

    def stop(self) -> None:
        """Measure no more."""
        alarm, self._alarm = self._alarm, None
        if alarm is not None and alarm.active():
            alarm.cancel()

    def _ring(self) -> None:
        self.durations.add(max(0.0, monotonic() - self._due))
        self.start()
