"""Metrics of what is done: commands, files, and what is asked of engine and store for it."""

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
    """How an engine's event stream has been; see :class:`sandbox.runtimes.docker.informer.StreamCounts`."""

    since: float | None
    events: int
    breaks: int


def executions(counts: ExecutionCounts) -> Iterator[Metric]:
    """Commands."""
    yield gauge("sandbox_execs_running", "Commands that run.", counts.running)
    yield counter(
        "sandbox_execs",
        "Commands that ended, by how.",
        {(outcome,): count for outcome, count in counts.outcomes.items()},
        ("outcome",),
    )
    yield histogram("sandbox_exec_duration_seconds", "How long commands ran.", {(): counts.durations})


def files(operations: Files) -> Iterator[Metric]:
    """File operations."""
    yield counter(
        "sandbox_file_operations",
        "File operations, by what was to be done and whether it was.",
        {labels: count for labels, count in operations.outcomes.items()},
        ("operation", "outcome"),
    )


def memory(budget: Budget) -> Iterator[Metric]:
    """What requests hold."""
    yield gauge("sandbox_answer_memory_bytes", "Bytes of outputs, files and listings that requests hold.", budget.held)
    yield gauge("sandbox_answer_memory_limit_bytes", "Bytes that they may hold (ANSWER_MEMORY).", budget.size)
    yield counter(
        "sandbox_answer_memory_refusals",
        "How often there was not enough left: output was truncated, or the answer was 503.",
        budget.refusals,
    )


def calls(prefix: str, of: str, calls: Mapping[str, CallStats]) -> Iterator[Metric]:
    """Calls of one thing that we depend on.

    :param prefix: what the metrics' names begin with.
    :param of: what it is, in words.
    """
    yield histogram(
        f"{prefix}_call_duration_seconds",
        f"How long calls of the {of} took, by what they do.",
        {(name,): each.durations for name, each in calls.items()},
        ("operation",),
    )
    yield counter(
        f"{prefix}_call_errors",
        f"Calls of the {of} that failed, by what they do and why.",
        {(name, error): count for name, each in calls.items() for error, count in each.errors.items()},
        ("operation", "error"),
    )


def workers(pools: Mapping[str, PoolUsage]) -> Iterator[Metric]:
    """Threads and database connections."""
    for part, help in (
        ("size", "Threads, or connections to the database, that there are at most."),
        ("busy", "Threads or database connections that are at work."),
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
    """What the daemon knows of the engine beside its answers.

    :param now: by the clock that the stream is measured with.
    """
    yield gauge(
        "sandbox_engine_events_connected",
        "Whether the engine's event stream is followed (1 or 0).",
        float(stream.since is not None),
    )
    yield gauge(
        "sandbox_engine_events_age_seconds",
        "For how long the event stream has been followed without a break; 0 while it is not.",
        0.0 if stream.since is None else max(0.0, now - stream.since),
    )
    yield counter("sandbox_engine_events", "Events that the engine told.", stream.events)
    yield counter(
        "sandbox_engine_events_breaks", "How often the event stream broke, or could not be had.", stream.breaks
    )
    yield gauge("sandbox_sessions", "Sessions that have a container, running or not.", sessions)
