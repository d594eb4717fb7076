"""The values that travel through the house; frozen, and free of any I/O library."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import attrs

from sandbox.domain.host_verdicts import HostMode, HostVerdicts


class ContainerState(enum.Enum):
    """What the engine says a container is, by the engine's own words."""

    CREATED = "created"
    RUNNING = "running"
    PAUSED = "paused"
    RESTARTING = "restarting"
    REMOVING = "removing"
    EXITED = "exited"
    DEAD = "dead"


@attrs.frozen(kw_only=True)
class ContainerSummary:
    """What a list of containers says of one that carries a session's label.

    :ivar id: the engine's full container id.
    :ivar session_id: the value of the session label.
    :ivar created_at: when it was made; texts that sort as moments do, in a list by whole seconds.
    :ivar managed: whether this daemon's instance created it (only such may ever be removed by us).
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
    """A container that carries a session's label, as the engine described it last.

    :ivar address: its address on the network that the daemon reaches it by; ``None`` when it has none.
    :ivar started_at: the engine's start time, opaque; with ``id`` it names one life of one container.
    :ivar user: the user its image or creator configured (``""`` is root), as in ``Config.User``.
    :ivar refusal: why previews must not be carried to it (host network, privileged), or ``None``.
    """

    image: str
    address: str | None = None
    started_at: str = ""
    user: str = ""
    refusal: str | None = None


@attrs.frozen(kw_only=True)
class ContainerSpec:
    """What a new session's container is made from.

    :ivar env: variables for every process in it.
    :ivar memory_mb: memory limit in MiB; ``None`` takes the configured default.
    :ivar cpus: CPU limit in cores; ``None`` takes the configured default.
    """

    session_id: str
    image: str
    env: Mapping[str, str] = attrs.field(factory=dict)
    memory_mb: int | None = None
    cpus: float | None = None


@attrs.frozen(kw_only=True)
class ExecSpec:
    """One command to run (contract section 2).

    :ivar argv: program and arguments; a shell string has already become ``/bin/sh -c …``.
    :ivar cwd: bytes of a path, relative to ``/workspace`` or absolute.
    :ivar timeout_ms: milliseconds until the command and all it started are killed.
    :ivar output_limit: bytes kept of each of stdout and stderr; the rest is read and dropped.
    """

    argv: Sequence[bytes]
    cwd: bytes = b"."
    env: Mapping[str, str] = attrs.field(factory=dict)
    timeout_ms: int = 300_000
    output_limit: int = 10 * 1024 * 1024


@attrs.frozen(kw_only=True)
class ExecResult:
    """What a command did.

    :ivar exit_code: its exit code; 128+n when signal n ended it.
    :ivar signal: the signal's name (``"SIGKILL"``) or ``None``.
    :ivar truncated: whether a stream went past its limit.
    :ivar timed_out: whether it was killed because its time was up; the output is then partial.
    :ivar oom_killed: whether the kernel killed it for lack of memory.
    :ivar survivors: processes of it that could not be confirmed dead after a kill; 0 is the rule.
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
    """Kinds of directory entries that the contract tells apart (section 3)."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    OTHER = "other"


@attrs.frozen(kw_only=True)
class Entry:
    """A file's metadata.

    :ivar name: the last segment's bytes, as the file system has them.
    :ivar size: bytes.
    :ivar modified_ns: nanoseconds since the epoch, negative before 1970.
    """

    name: bytes
    type: EntryType
    size: int
    modified_ns: int

    @property
    def weight(self) -> int:
        """Bytes of memory that it takes, about."""
        return 192 + len(self.name)


@attrs.frozen(kw_only=True)
class FileContent:
    """A file as read in one go."""

    content: bytes
    size: int
    modified_ns: int


class Phase(enum.Enum):
    """Where a session stands in its life, by the store; the engine says the rest."""

    CREATING = "creating"
    READY = "ready"
    FAILED = "failed"
    DELETING = "deleting"


@attrs.frozen(kw_only=True)
class SessionRecord:
    """A session as a store keeps it."""

    id: str
    user_id: str
    image: str
    phase: Phase
    created_at: datetime
    updated_at: datetime
    container_id: str | None = None


@attrs.frozen(kw_only=True)
class Link:
    """A signed preview link as a store keeps it, so that it can be revoked before its time.

    :ivar id: random; the signed token carries it.
    :ivar user_id: whom the link was made for; ``None`` is whoever holds it.
    :ivar expires_at: when it ends by itself.
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
    """A session as clients see it: the stored record with what the engine says now."""

    id: str
    user_id: str
    status: SessionStatus
    image: str
    container_id: str | None
    created_at: datetime
    updated_at: datetime


@attrs.frozen(kw_only=True)
class Preview:
    """A registered preview port and how requests to it are to be treated.

    :ivar strip_prefix: whether ``/previews/:id`` is removed from what the container sees.
    :ivar host: where the application is told that it is.
    :ivar access: ``"public"``, ``"owner"``, ``"link"``, or ``None`` for what the environment says.
    """

    session_id: str
    port: int
    strip_prefix: bool = True
    host: HostMode = HostMode.AUTO
    access: str | None = None


@attrs.frozen
class Target:
    """Where a preview's requests go: one port of one life of one container."""

    container_id: str
    started_at: str
    address: str
    port: int


@attrs.frozen(eq=False)
class Destination:
    """A registered preview, and where its requests go now.

    There is one object for one registration and one life of its container, so that what follows from it can be
    remembered by it.

    :ivar verdicts: what was found where the preview's host is ``AUTO``; they outlive the registration.
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


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def iso_ns(nanoseconds: int) -> str:
    """A file's time as ISO 8601 in UTC with microseconds, clamped to the years that ISO 8601 can write.

    >>> iso_ns(-1)
    '1969-12-31T23:59:59.999999Z'
    """
    try:
        moment = _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        moment = datetime.max if nanoseconds > 0 else datetime.min
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
