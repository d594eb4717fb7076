"""Metrics of the process itself, beside those that ``prometheus_client`` has (``process_…``)."""

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
    """What runs."""
    versions = (__version__, platform.python_version(), twisted.__version__)
    yield gauge("sandbox_build_info", "What runs; always 1.", {versions: 1.0}, ("version", "python", "twisted"))


def state(health: Health) -> Iterator[Metric]:
    """Whether the daemon serves."""
    now = health.status
    yield gauge(
        "sandbox_state",
        "1 for what the daemon is, 0 for what it is not; whether engine and store answer is asked by /readyz.",
        {(each.value,): float(each is now) for each in (Status.STARTING, Status.READY, Status.DRAINING)},
        ("state",),
    )


def lag(reactor: Lag) -> Iterator[Metric]:
    """Whether something blocks the reactor."""
    yield histogram(
        "sandbox_reactor_lag_seconds", "How late a timer came that is set twice a second.", {(): reactor.durations}
    )


def log(output: Output) -> Iterator[Metric]:
    """What is logged."""
    yield counter(
        "sandbox_log_events",
        "Events that were logged, by level.",
        {(level,): output.events[level] for level in LEVELS},
        ("level",),
    )
    yield counter("sandbox_log_dropped", "Log lines that could not be written.", output.dropped)
