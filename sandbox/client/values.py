"""Frozen values of the API's responses. A session is the daemon's :class:`sandbox.domain.model.Session`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import attrs

from sandbox.domain.model import EntryType, Session


@attrs.frozen(kw_only=True)
class Page:
    """A page of sessions, newest first.

    :ivar next_cursor: cursor of the next page; ``None`` after the last. A short or empty page may have a next one.
    """

    sessions: Sequence[Session]
    next_cursor: str | None


@attrs.frozen(kw_only=True)
class ExecResult:
    """Result of a command (contract section 2).

    :ivar stdout: text, with bytes that are not UTF-8 replaced by U+FFFD.
    :ivar duration_ms: milliseconds.
    :ivar truncated: whether a stream exceeded the daemon's limit and was truncated.
    :ivar signal: name of the signal that terminated it, such as ``"SIGKILL"``; ``exit_code`` is then 128 + n.
    :ivar oom_killed: whether the kernel's OOM killer killed it.
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
    """A text file (contract section 3).

    :ivar size: bytes.
    """

    path: str
    content: str
    size: int
    modified_at: datetime


@attrs.frozen(kw_only=True)
class WrittenFile:
    """A written file.

    :ivar size: bytes.
    """

    path: str
    size: int


@attrs.frozen(kw_only=True)
class Metadata:
    """Metadata of a path.

    :ivar size: bytes.
    """

    type: EntryType
    size: int
    modified_at: datetime


@attrs.frozen(kw_only=True)
class Entry(Metadata):
    """An entry of a directory.

    :ivar name: bytes that are not UTF-8 are lone surrogates (PEP 383), which are sent as bytes when used in a path.
    """

    name: str


@attrs.frozen(kw_only=True)
class Registration:
    """A registered preview port (contract section 4).

    :ivar url: the preview under the daemon's own origin.
    :ivar host_url: the preview on its own host, whose name contains the port.
    :ivar host: which Host the application receives: ``"auto"``, ``"public"`` or ``"local"``.
    :ivar told: ``"public"`` or ``"local"`` for each form (``"host"`` and ``"path"``); ``None`` while unknown.
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

    :ivar id: id for revoking the link.
    :ivar url: opens the preview under the daemon's origin for any bearer; a secret.
    :ivar host_url: opens the preview on its own host; ``None`` while no port is registered.
    """

    id: str
    url: str | None = attrs.field(repr=False)
    host_url: str | None = attrs.field(repr=False)
    expires_at: datetime


@attrs.frozen(kw_only=True)
class Health:
    """Health of the application in a session (contract section 7).

    :ivar status_code: status of its response; any HTTP status is healthy.
    :ivar error: why it did not respond, such as ``"Connection refused"``.
    """

    healthy: bool
    session_id: str
    port: int
    status_code: int | None = None
    error: str | None = None
