"""What the API answers with, as frozen values. A session is the daemon's own :class:`sandbox.domain.model.Session`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from sandbox.domain.model import EntryType, Session


@attrs.frozen(kw_only=True)
class Page:
    """A page of sessions, newest first.

    :ivar next_cursor: where the next page begins; ``None`` after the last. A short or empty page may have a next one.
    """

    sessions: Sequence[Session]
    next_cursor: str | None


@attrs.frozen(kw_only=True)
class ExecResult:
    """What a command did (contract section 2).

    :ivar stdout: text; what was not UTF-8 is U+FFFD.
    :ivar duration_ms: milliseconds.
    :ivar truncated: whether a stream went past the daemon's limit, its rest being dropped.
    :ivar signal: the name of the signal that ended it, such as ``"SIGKILL"``; ``exit_code`` is then 128 + n.
    :ivar oom_killed: whether the kernel killed it for lack of memory.
    """

    exit_code: int
    stdout: str
    stderr: str
    duration_ms: int
    truncated: bool
    signal: str | None = None
    oom_killed: bool = False


@attrs.frozen(kw_only=True)
class File:
    """A text file as read (contract section 3).

    :ivar size: bytes.
    """

    path: str
    content: str
    size: int
    modified_at: datetime


@attrs.frozen(kw_only=True)
class WrittenFile:
    """A file that was written.

    :ivar size: bytes.
    """

    path: str
    size: int


@attrs.frozen(kw_only=True)
class Metadata:
    """What a path is.

    :ivar size: bytes.
    """

    type: EntryType
    size: int
    modified_at: datetime


@attrs.frozen(kw_only=True)
class Entry(Metadata):
    """One entry of a directory.

    :ivar name: bytes of it that are not UTF-8 are lone surrogates (PEP 383); as part of a path they go back as bytes.
    """

    name: str


@attrs.frozen(kw_only=True)
class Registration:
    """A registered preview port (contract section 4).

    :ivar url: the preview under the daemon's own origin.
    :ivar host_url: the preview on a host of its own; its port is part of the name.
    :ivar host: where the application is told that it is: ``"auto"``, ``"public"`` or ``"local"``.
    :ivar told: which of the last two that is for each form, ``"host"`` and ``"path"``; ``None`` while that is unknown.
    """

    session_id: str
    port: int
    url: str | None = None
    host_url: str | None = None
    host: str | None = None
    told: Mapping[str, str | None] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Link:
    """A signed link to a preview.

    :ivar id: revokes it.
    :ivar url: opens the preview under the daemon's origin, for whoever holds it; a secret.
    :ivar host_url: opens it on a host of its own; ``None`` while no port is registered.
    """

    id: str
    url: str | None = attrs.field(repr=False)
    host_url: str | None = attrs.field(repr=False)
    expires_at: datetime


@attrs.frozen(kw_only=True)
class Health:
    """Whether the application in a session answers (contract section 7).

    :ivar status_code: what it answered with; any HTTP status is healthy.
    :ivar error: why it did not answer, such as ``"Connection refused"``.
    """

    healthy: bool
    session_id: str
    port: int
    status_code: int | None = None
    error: str | None = None
