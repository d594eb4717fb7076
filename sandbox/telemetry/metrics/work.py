"""Metrics of commands, files, and calls of engine and store."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol

from prometheus_client.core import Metric

from sandbox.net.instruments import CallStats, PoolUsage
from sandbox.operations.execution import ExecutionCounts
from sandbox.operations.files import Files
from sandbox.policy.budget import Budget
from sandbox.scheduling.scheduler import JobCounts
from sandbox.telemetry.metrics.families import Labels, counter, gauge, histogram


class Stream(Protocol):
    """Counters of an engine's event stream; see :class:`sandbox.runtimes.docker.informer.StreamCounts`."""

    since: float | None
    events: int
    breaks: int


def executions(counts: ExecutionCounts) -> Iterator[Metric]:
    """Commands."""
    yield gauge("sandbox_execs_running", "Running commands.", counts.running)
    yield counter(
        "sandbox_execs",
        "Completed commands, by outcome.",
        {(outcome,): count for outcome, count in counts.outcomes.items()},
        ("outcome",),
    )
    yield histogram("sandbox_exec_duration_seconds", "Duration of commands.", {(): counts.durations})


def files(operations: Files) -> Iterator[Metric]:
    """File operations."""
    yield counter(
        "sandbox_file_operations",
        "File operations, by operation and outcome.",
        {labels: count for labels, count in operations.outcomes.items()},
        ("operation", "outcome"),
    )


def memory(budget: Budget) -> Iterator[Metric]:
    """Memory that requests hold."""
    yield gauge("sandbox_answer_memory_bytes", "Bytes of outputs, files and listings that requests hold.", budget.held)
    yield gauge("sandbox_answer_memory_limit_bytes", "Limit on those bytes (ANSWER_MEMORY).", budget.size)
    yield counter(
        "sandbox_answer_memory_refusals",
        "Requests that exceeded the limit: output was truncated, or the response was 503.",
        budget.refusals,
    )


def calls(prefix: str, of: str, calls: Mapping[str, CallStats]) -> Iterator[Metric]:
    """Calls of one dependency.

    :param prefix: prefix of the metrics' names.
    :param of: name of the dependency, for the help texts.
    """
    yield histogram(
        f"{prefix}_call_duration_seconds",
        f"Duration of calls of the {of}, by operation.",
        {(name,): each.durations for name, each in calls.items()},
        ("operation",),
    )
    yield counter(
        f"{prefix}_call_errors",
        f"Failed calls of the {of}, by operation and error.",
        {(name, error): count for name, each in calls.items() for error, count in each.errors.items()},
        ("operation", "error"),
    )


def workers(pools: Mapping[str, PoolUsage]) -> Iterator[Metric]:
    """Pools of threads and of database connections."""
    for part, help in (
        ("size", "Maximum number of threads or database connections."),
        ("busy", "Busy threads or database connections."),
        ("waiting", "Calls that wait for a thread or a database connection."),
    ):
        found: dict[Labels, float] = {(name,): getattr(each, part) for name, each in pools.items()}
        yield gauge(f"sandbox_workers_{part}", help, found, ("pool",))


def jobs(counts: Mapping[str, JobCounts]) -> Iterator[Metric]:
    """Periodic jobs."""
    runs: dict[Labels, float] = {(name,): each.runs for name, each in counts.items()}
    failures: dict[Labels, float] = {(name,): each.failures for name, each in counts.items()}
    yield counter("sandbox_job_runs", "Runs of periodic jobs that ended.", runs, ("name",))
    yield counter("sandbox_job_failures", "Runs of periodic jobs that failed.", failures, ("name",))


def engine(stream: Stream, sessions: int, now: float) -> Iterator[Metric]:
    """The engine's event stream.

    :param sessions: number of sessions with a container.
    :param now: current time, on the clock of ``stream.since``.
    """
    yield gauge(
        "sandbox_engine_events_connected",
        "Whether the engine's event stream is connected (1 or 0).",
        float(stream.since is not None),
    )
    yield gauge(
        "sandbox_engine_events_age_seconds",
        "Seconds since the event stream was connected; 0 while it is not.",
        0.0 if stream.since is None else max(0.0, now - stream.since),
    )
    yield counter("sandbox_engine_events", "Events received from the engine.", stream.events)
    yield counter(
        "sandbox_engine_events_breaks", "Disconnections and failed connections of the event stream.", stream.breaks
    )
    yield gauge("sandbox_sessions", "Sessions with a container, running or not.", sessions)
