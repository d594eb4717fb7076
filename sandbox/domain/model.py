"""Domain values: frozen, and independent of any I/O library."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from sandbox.domain.host_verdicts import HostMode, HostVerdicts


class ContainerState(enum.Enum):
    """State of a container, by the engine's own names."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


@attrs.frozen(kw_only=True)
class ContainerSummary:
    """A labelled container as a listing of the engine shows it.

    :ivar id: the engine's full container id.
    :ivar session_id: the value of the session label.
    :ivar created_at: creation time as text that sorts chronologically; in a listing with a precision of seconds.
    :ivar managed: whether this daemon's instance created it; only such containers are ever removed.
    """

    id: str
    session_id: str
    state: ContainerState
    created_at: str = ""
    managed: bool = False

    @property
    def running(self) -> bool:
        """Whether it can run commands and answer requests now."""
        return self.state is ContainerState.RUNNING


@attrs.frozen(kw_only=True)
class Container(ContainerSummary):
    """A labelled container with its most recent description by the engine.

    :ivar address: its address on the network that the daemon shares with it; ``None`` when it has none.
    :ivar started_at: the engine's start time, opaque; together with ``id`` it identifies one life of the container.
    :ivar user: the user configured by its image or creator (``""`` is root), as in ``Config.User``.
    :ivar refusal: why previews of it are forbidden (host network, privileged), or ``None``.
    """

    image: str
    address: str | None = None
    started_at: str = ""
    user: str = ""
    refusal: str | None = None


@attrs.frozen(kw_only=True)
class ContainerSpec:
    """Specification of a new session's container.

    :ivar env: environment of every process in it.
    :ivar memory_mb: memory limit in MiB; ``None``: the configured default.
    :ivar cpus: CPU limit in cores; ``None``: the configured default.
    """

    session_id: str
    image: str
    env: Mapping[str, str] = attrs.field(factory=dict)
    memory_mb: int | None = None
    cpus: float | None = None


@attrs.frozen(kw_only=True)
class ExecSpec:
    """Specification of a command (contract section 2).

    :ivar argv: program and arguments; a shell string is already converted to ``/bin/sh -c …``.
    :ivar cwd: bytes of a path, relative to ``/workspace`` or absolute.
    :ivar timeout_ms: milliseconds until the command and all its descendants are killed.
    :ivar output_limit: bytes kept of each of stdout and stderr; the rest is read and discarded.
    """

    argv: Sequence[bytes]
    cwd: bytes = b"."
    env: Mapping[str, str] = attrs.field(factory=dict)
    timeout_ms: int = 300_000
    output_limit: int = 10 * 1024 * 1024


@attrs.frozen(kw_only=True)
class ExecResult:
    """Result of a command.

    :ivar exit_code: its exit code; 128+n when signal n terminated it.
    :ivar signal: the signal's name (``"SIGKILL"``) or ``None``.
    :ivar truncated: whether a stream exceeded its limit.
    :ivar timed_out: whether its timeout expired; the output is then partial.
    :ivar oom_killed: whether the kernel's OOM killer killed it.
    :ivar survivors: number of its processes not confirmed dead after a kill; normally 0.
    """

    exit_code: int
    stdout: bytes = b""
    stderr: bytes = b""
    duration_ms: int = 0
    truncated: bool = False
    signal: str | None = None
    timed_out: bool = False
    oom_killed: bool = False
    survivors: int = 0


class EntryType(enum.Enum):
    """Types of directory entries (contract section 3)."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@attrs.frozen(kw_only=True)
class Entry:
    """Metadata of a file.

    :ivar name: bytes of the last path segment.
    :ivar size: bytes.
    :ivar modified_ns: nanoseconds since the epoch, negative before 1970.
    """

    name: bytes
    type: EntryType
    size: int
    modified_ns: int

    @property
    def weight(self) -> int:
        """Estimate of its size in memory, in bytes."""
        return 192 + len(self.name)


@attrs.frozen(kw_only=True)
class FileContent:
    """A whole file's content and metadata."""

    content: bytes
    size: int
    modified_ns: int


class Phase(enum.Enum):
    """Lifecycle phase of a session in the store; its running state comes from the engine."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@attrs.frozen(kw_only=True)
class SessionRecord:
    """A session's row in the store."""

    id: str
    user_id: str
    image: str
    phase: Phase
    created_at: datetime
    updated_at: datetime
    container_id: str | None = None


@attrs.frozen(kw_only=True)
class Link:
    """A signed preview link's row in the store, needed to revoke it before it expires.

    :ivar id: random; contained in the signed token.
    :ivar user_id: the user the link was made for; ``None``: any bearer.
    :ivar expires_at: expiry time.
    """

    id: str
    session_id: str
    user_id: str | None
    expires_at: datetime


class SessionStatus(enum.Enum):
    """A session's status on the wire (contract section 8)."""

    CREATING = "creating"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Session:
    """A session as clients see it: the stored record with the container's current state."""

    id: str
    user_id: str
    status: SessionStatus
    image: str
    container_id: str | None
    created_at: datetime
    updated_at: datetime


@attrs.frozen(kw_only=True)
class Preview:
    """A registered preview port and its options.

    :ivar strip_prefix: whether ``/previews/:id`` is removed from the path sent to the container.
    :ivar host: which Host the application is sent.
    :ivar access: ``"public"``, ``"owner"``, ``"link"``, or ``None`` for the configured default.
    """

    session_id: str
    port: int
    strip_prefix: bool = True
    host: HostMode = HostMode.AUTO
    access: str | None = None


@attrs.frozen
class Target:
    """Upstream of a preview: one port of one life of a container."""

    container_id: str
    started_at: str
    address: str
    port: int


@attrs.frozen(eq=False)
class Destination:
    """A registered preview and its current upstream.

    One object per registration and life of the container, so that derived values can be cached by identity.

    :ivar verdicts: results of probing where the preview's host is ``AUTO``; they outlive the registration.
    """

    preview: Preview
    target: Target
    verdicts: HostVerdicts = attrs.field(factory=HostVerdicts)


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with ``Z`` and milliseconds (contract section 1).

    >>> iso(datetime(2026, 1, 25, 12, tzinfo=UTC))
    '2026-01-25T12:00:00.000Z'
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# Naive: a conversion of the time zone would be half of a long listing's cost.
_EPOCH = datetime(1970, 1, 1)


def iso_ns(nanoseconds: int) -> str:
    """A file's time as ISO 8601 in UTC with microseconds, clamped to the years representable in ISO 8601.

    >>> iso_ns(-1)
    '1969-12-31T23:59:59.999999Z'
    """
    try:
        moment = _EPOCH + timedelta(0, 0, nanoseconds // 1000)
    except OverflowError:
        moment = datetime.max if nanoseconds > 0 else datetime.min
    return moment.isoformat(timespec="microseconds") + "Z"
