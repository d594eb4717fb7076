"""Periodic jobs: started at a fixed interval, never concurrently with themselves, and rescheduled after failures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping

import attrs
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import SandboxError
from sandbox.net.timers import Timer

_log = Logger()


@attrs.define
class JobCounts:
    """How often jobs of one name ran.

    :ivar runs: runs that ended.
    :ivar failures: those of them that failed.
    """

    runs: int = 0
    failures: int = 0


class Job:
    """One periodic job.

    A run that takes longer than the interval delays the next one to the following multiple of it; missed runs are
    skipped.

    :param name: for the log and the metrics.
    :param interval: seconds between the beginnings of two runs; 0: it runs only when :meth:`trigger` is called.
    :param work: one run; may return a ``Deferred``. Exceptions are logged.
    :param counts: counters of its runs.
    :param started: the jobs that were started and not stopped.
    :ivar late: delay of the last start behind its schedule, in seconds.
    """

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        interval: float,
        work: Callable[[], object],
        *,
        counts: JobCounts,
        started: dict[Job, None],
    ) -> None:
        self.name = name
        self.late = 0.0
        self._clock = clock
        self._interval = interval
        self._work = work
        self._counts = counts
        self._started = started
        self._timer = Timer(clock)
        self._due = 0.0
        self._running: Deferred[object] | None = None
        self._again = False
        self._waiting: list[Deferred[None]] = []
        self._stopped = False

    def start(self, *, now: bool = False) -> None:
        """Run every interval from now on.

        :param now: whether the first run starts in this call, or after one interval.
        """
        self._started[self] = None
        self._due = self._clock.seconds()
        self._schedule()
        if now:
            self.trigger()

    def trigger(self) -> None:
        """Run now; during a run, schedule one more for its end."""
        if self._running is not None:
            self._again = True
        elif not self._stopped:
            self._run()

    def ended(self) -> Deferred[None]:
        """Fires when the current run has ended, successfully or not; at once when there is none.

        Cancelling ends the wait, not the run.
        """
        if self._running is None:
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def stop(self) -> Deferred[None]:
        """Cancel further runs; fires when the current run has ended."""
        self._stopped = True
        self._timer.stop()
        self._started.pop(self, None)
        return self.ended()

    def _schedule(self) -> None:
        if self._interval and not self._stopped:
            now = self._clock.seconds()
            missed = (now - self._due) // self._interval
            self._due += self._interval * (missed + 1)
            self._timer.start(self._due - now, self._beat)

    def _beat(self) -> None:
        self.late = self._clock.seconds() - self._due
        if self._running is None:
            self._run()

    def _run(self) -> None:
        self._again = False
        self._running = running = maybeDeferred(self._work)
        running.addBoth(self._run_ended)

    def _run_ended(self, result: object) -> None:
        self._running = None
        self._counts.runs += 1
        if isinstance(result, Failure):
            self._counts.failures += 1
            self._report(result)
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.callback(None)
        self._schedule()
        if self._again:
            self.trigger()

    def _report(self, failure: Failure) -> None:
        if isinstance(failure.value, SandboxError):
            _log.warn("job {job} failed: {error}", job=self.name, error=failure.value.message)
        else:
            _log.failure("job {job} failed unexpectedly", failure=failure, job=self.name)


class Scheduler:
    """The daemon's jobs.

    :ivar clock: provides their time.
    """

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._jobs: dict[Job, None] = {}
        self._counts: defaultdict[str, JobCounts] = defaultdict(JobCounts)

    @property
    def jobs(self) -> tuple[Job, ...]:
        """Every job that was started and not stopped."""
        return tuple(self._jobs)

    @property
    def counts(self) -> Mapping[str, JobCounts]:
        """Runs and failures by job name, stopped jobs included."""
        return self._counts

    def job(self, interval: float, name: str, work: Callable[[], object]) -> Job:
        """A job that runs ``work`` every ``interval`` seconds once it is started, and may be stopped before."""
        return Job(self.clock, name, interval, work, counts=self._counts[name], started=self._jobs)

    def every(self, interval: float, name: str, work: Callable[[], object], *, now: bool = False) -> Job:
        """Create and start a job; see :meth:`job` and :meth:`Job.start`."""
        job = self.job(interval, name, work)
        job.start(now=now)
        return job

    def close(self) -> Deferred[None]:
        """Stop every job; fires when no run is under way."""
        return gatherResults([job.stop() for job in self.jobs]).addCallback(lambda _: None)
