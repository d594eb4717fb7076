"""Periodic jobs: each begins again an interval after its last beginning, never twice at once, and failures end none."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.net.timers import Timer

_log = Logger()


class Job:
    """One periodic job.

    A run that takes longer than the interval delays the next one: the beats that it missed are skipped.

    :param name: for the log.
    :param interval: seconds between the beginnings of two runs.
    :param work: one run; may answer a ``Deferred``. What it raises is logged.
    :ivar runs: runs that ended.
    :ivar failures: runs that failed.
    """

    def __init__(self, clock: IReactorTime, name: str, interval: float, work: Callable[[], object]) -> None:
        self.name = name
        self.runs = 0
        self.failures = 0
        self._clock = clock
        self._interval = interval
        self._work = work
        self._timer = Timer(clock)
        self._due = 0.0
        self._running: Deferred[object] | None = None
        self._stopped = False

    def start(self, *, now: bool = False) -> None:
        """Run every interval.

        :param now: whether the first run begins at once, in this call.
        """
        self._due = self._clock.seconds()
        if now:
            self._run()
        else:
            self._schedule()

    def stop(self) -> Deferred[None]:
        """Begin no further run; fires when a run that is under way has ended."""
        self._stopped = True
        self._timer.stop()
        if self._running is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._running.addBoth(lambda _: ended.callback(None))
        return ended

    def _schedule(self) -> None:
        now = self._clock.seconds()
        missed = (now - self._due) // self._interval
        self._due += self._interval * (missed + 1)
        self._timer.start(self._due - now, self._run)

    def _run(self) -> None:
        self._running = maybeDeferred(self._work)
        self._running.addBoth(self._ended)

    def _ended(self, result: object) -> None:
        self._running = None
        self.runs += 1
        if isinstance(result, Failure):
            self.failures += 1
            _log.failure("job {job} failed", failure=result, job=self.name)
        if not self._stopped:
            self._schedule()


class Scheduler:
    """The daemon's jobs."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._jobs: list[Job] = []

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job that was not stopped by :meth:`close`."""
        return tuple(self._jobs)

    def every(self, interval: float, name: str, work: Callable[[], object], *, now: bool = False) -> Job:
        """Run ``work`` every ``interval`` seconds from now on.

        :param now: whether the first run begins at once.
        """
        job = Job(self._clock, name, interval, work)
        self._jobs.append(job)
        job.start(now=now)
        return job

    def close(self) -> Deferred[None]:
        """Stop every job; fires when no run is under way."""
        jobs, self._jobs = self._jobs, []
        return gatherResults([job.stop() for job in jobs]).addCallback(lambda _: None)
