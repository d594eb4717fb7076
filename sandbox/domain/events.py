"""Domain events, delivered to subscribers by :mod:`sandbox.events.bus`.

An event in the past tense is published after the fact; one in the progressive is published before the first
irreversible step.
"""

from __future__ import annotations

import attrs

from sandbox.domain.model import Preview
from sandbox.domain.principals import Principal


@attrs.frozen
class SessionEvent:
    """Base class of events about one session.

    :ivar by: the caller whose request caused it; ``SYSTEM`` without one.
    """

    session_id: str
    by: Principal = attrs.field(kw_only=True)


@attrs.frozen
class SessionCreated(SessionEvent):
    """A session's row was added; its container is not running yet."""

    user_id: str


@attrs.frozen
class SessionStopping(SessionEvent):
    """A session's container is about to be stopped on request."""


@attrs.frozen
class SessionStopped(SessionEvent):
    """A session's container was stopped on request."""


@attrs.frozen
class SessionRemoving(SessionEvent):
    """A session is about to be removed."""


@attrs.frozen
class SessionRemoved(SessionEvent):
    """A session was removed (container, workspace and row), on request or by reconciliation."""


@attrs.frozen
class ContainerEnded(SessionEvent):
    """The engine reported that a session's container stopped running or was removed."""


@attrs.frozen
class PreviewRegistered:
    """A preview's port was registered, replacing the session's earlier registration."""

    preview: Preview
    by: Principal = attrs.field(kw_only=True)


@attrs.frozen
class LinkRevoked(SessionEvent):
    """A preview link was revoked."""

    link_id: str


@attrs.frozen
class SecretsChanged:
    """The secrets that sign and verify tokens, links and cookies changed.

    :ivar secrets: the secrets that are valid from now on, the signing one first.
    """

    secrets: tuple[bytes, ...] = attrs.field(repr=False)
    by: Principal = attrs.field(kw_only=True)


Event = (
    SessionCreated
    | SessionStopping
    | SessionStopped
    | SessionRemoving
    | SessionRemoved
    | ContainerEnded
    | PreviewRegistered
    | LinkRevoked
    | SecretsChanged
)
