"""Domain events: what has happened, for the parts that must react. :mod:`sandbox.events.bus` delivers them.

An event in the past tense is published after the fact, one in the progressive before the first step that cannot be
undone.
"""

from __future__ import annotations

import attrs

from sandbox.domain.model import Preview
from sandbox.domain.principals import Principal


@attrs.frozen
class SessionEvent:
    """Something happened to one session.

    :ivar by: whose call it was; ``SYSTEM`` for what happened without one.
    """

    session_id: str
    by: Principal = attrs.field(kw_only=True)


@attrs.frozen
class SessionCreated(SessionEvent):
    """The row of a session was added; its container does not run yet."""

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
    """A session is gone: container, workspace and row, by request or by reconciliation."""


@attrs.frozen
class ContainerEnded(SessionEvent):
    """A session's container does not run any more, or is gone, as the engine says."""


@attrs.frozen
class PreviewRegistered:
    """A preview's port was registered; an earlier registration of the session was replaced."""

    preview: Preview
    by: Principal = attrs.field(kw_only=True)


@attrs.frozen
class LinkRevoked(SessionEvent):
    """A preview link was revoked."""

    link_id: str


@attrs.frozen
class SecretsChanged:
    """The secrets that sign and verify tokens, links and cookies changed.

    :ivar secrets: those of the platform's tokens that are good from now on, the signing one first.
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
