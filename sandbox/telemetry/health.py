"""Readiness of the daemon, for service managers, monitoring and load balancers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from time import monotonic

import attrs
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import SandboxError

_log = Logger()

#: Seconds for which a report is cached, so that frequent requests cause no further checks.
FRESH = 1.0

Check = Callable[[], Deferred[None]]


class Status(Enum):
    """State of the daemon."""

    STARTING = "starting"
    READY = "ready"
    UNAVAILABLE = "unavailable"
    DRAINING = "draining"


@attrs.frozen
class Finding:
    """Result of a check.

    :ivar seconds: duration of the check.
    :ivar error: reason of the failure; ``None`` on success.
    """

    seconds: float
    error: str | None = None


@attrs.frozen
class Report:
    """State of the daemon with its checks.

    :ivar reason: why it is not ready, as a sentence.
    :ivar findings: the results of the checks, by name.
    """

    status: Status
    reason: str = ""
    findings: Mapping[str, Finding] = attrs.field(factory=dict)


class Health:
    """Checks the daemon's dependencies, at most once a second; concurrent callers share one report.

    :param timeout: seconds until a check fails.
    :ivar began: start time of the daemon, on the clock of :func:`time.monotonic`.
    """

    def __init__(self, clock: IReactorTime, timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._checks: Mapping[str, Check] = {}
        self._state = Report(Status.STARTING, "The daemon is starting")
        self._known: Report | None = None
        self._until = 0.0
        self._asking: Deferred[Report] | None = None
        self.began = monotonic()

    @property
    def status(self) -> Status:
        """State of the daemon without checking its dependencies: never ``UNAVAILABLE``."""
        return self._state.status

    def starting(self, reason: str) -> None:
        """The daemon is starting, and waits for a dependency."""
        self._state = Report(Status.STARTING, reason)

    def ready(self, checks: Mapping[str, Check]) -> None:
        """The daemon is ready; from now on ``checks`` decide."""
        self._checks = checks
        self._state = Report(Status.READY)

    def draining(self) -> None:
        """The daemon is shutting down and should receive no new requests."""
        self._state = Report(Status.DRAINING, "The daemon is ending")

    def report(self) -> Deferred[Report]:
        """Report the daemon's state; fires within the timeout of the checks, and never fails."""
        if self._state.status is not Status.READY:
            return succeed(self._state)
        if self._known is not None and self._clock.seconds() < self._until:
            return succeed(self._known)
        asking = self._asking
        if asking is None:
            asking = self._asking = Deferred.fromCoroutine(self._ask())
            asking.addBoth(self._asked)
        waiter: Deferred[Report] = Deferred()

        def tell(report: Report) -> Report:
            waiter.callback(report)
            return report

        asking.addCallback(tell)
        return waiter

    async def _ask(self) -> Report:
        names = list(self._checks)
        findings = dict(zip(names, await gatherResults([self._check(name) for name in names]), strict=True))
        wrong = [f"{name}: {finding.error}" for name, finding in findings.items() if finding.error is not None]
        if wrong:
            return Report(Status.UNAVAILABLE, "; ".join(wrong), findings)
        return Report(Status.READY, "", findings)

    def _asked(self, report: Report | Failure) -> Report:
        if isinstance(report, Failure):
            _log.failure("readiness checks failed unexpectedly", report)
            report = Report(Status.UNAVAILABLE, "The daemon cannot tell how it is")
        self._known, self._asking = report, None
        self._until = self._clock.seconds() + FRESH
        # The daemon may have started to drain meanwhile.
        return report if self._state.status is Status.READY else self._state

    def _check(self, name: str) -> Deferred[Finding]:
        begun = monotonic()

        def found(result: object) -> Finding:
            seconds = monotonic() - begun
            if not isinstance(result, Failure):
                return Finding(seconds)
            if isinstance(result.value, SandboxError):
                return Finding(seconds, result.value.message)
            if isinstance(result.value, DeferredTimeout):
                return Finding(seconds, f"no answer within {self._timeout:g} s")
            _log.failure("check of {name} failed unexpectedly", result, name=name)
            return Finding(seconds, "the check failed")

        return self._checks[name]().addTimeout(self._timeout, self._clock).addBoth(found)
