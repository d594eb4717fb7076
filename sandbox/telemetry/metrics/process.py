"""Metrics of the process, beside those of ``prometheus_client`` (``process_…``)."""

from __future__ import annotations

import platform
from collections.abc import Iterator

from prometheus_client.core import Metric

import twisted
from sandbox import __version__
from sandbox.telemetry.health import Health, Status
from sandbox.telemetry.logs.output import LEVELS, Output
from sandbox.telemetry.metrics.families import counter, gauge, histogram
from sandbox.telemetry.metrics.lag import Lag


def build() -> Iterator[Metric]:
    """Versions of the daemon, Python and Twisted."""
    versions = (__version__, platform.python_version(), twisted.__version__)
    yield gauge("sandbox_build_info", "Running versions; always 1.", {versions: 1.0}, ("version", "python", "twisted"))


def state(health: Health) -> Iterator[Metric]:
    """State of the daemon."""
    now = health.status
    yield gauge(
        "sandbox_state",
        "1 for the daemon's current state, 0 for the others; /readyz also checks engine and store.",
        {(each.value,): float(each is now) for each in (Status.STARTING, Status.READY, Status.DRAINING)},
        ("state",),
    )


def lag(reactor: Lag) -> Iterator[Metric]:
    """Reactor lag."""
    yield histogram(
        "sandbox_reactor_lag_seconds", "Delay of a timer that is scheduled twice a second.", {(): reactor.durations}
    )


def log(output: Output) -> Iterator[Metric]:
    """Log events."""
    yield counter(
        "sandbox_log_events",
        "Logged events, by level.",
        {(level,): output.events[level] for level in LEVELS},
        ("level",),
    )
    yield counter("sandbox_log_dropped", "Log lines that could not be written.", output.dropped)
