"""Who reacts to which domain event, and in which order: the one place where subscribers are connected.

+------------------------------+----------+---------------+--------------+-------------------+
| event                        | registry | sockets, pool | access cache | idempotency cache |
+==============================+==========+===============+==============+===================+
| ``SessionCreated``           | -        | -             | forget       | forget            |
| ``SessionStopping``          | drop     | cut           | -            | -                 |
| ``SessionStopped``           | drop     | -             | -            | -                 |
| ``SessionRemoving``          | drop     | cut           | forget       | forget            |
| ``SessionRemoved``           | drop     | cut           | forget       | forget            |
| ``ContainerEnded``           | kept     | cut           | -            | -                 |
| ``LinkRevoked``              | -        | -             | forget link  | -                 |
| ``SecretsChanged``           | -        | -             | other keys   | -                 |
+------------------------------+----------+---------------+--------------+-------------------+

The runtime closes the link to a container's agent itself when the container stops, goes or is removed.
``tests/service/test_subscriptions.py`` walks the table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sandbox.domain.events import (
    ContainerEnded,
    LinkRevoked,
    SecretsChanged,
    SessionCreated,
    SessionEvent,
    SessionRemoved,
    SessionRemoving,
    SessionStopped,
    SessionStopping,
)
from sandbox.events.bus import EventBus
from sandbox.routing.access import Access
from sandbox.routing.previews import Previews

_STOP: tuple[type[SessionEvent], ...] = (SessionStopping, SessionStopped)
_REMOVAL: tuple[type[SessionEvent], ...] = (SessionRemoving, SessionRemoved)
#: What was known of a session id holds no longer.
_OTHER_LIFE: tuple[type[SessionEvent], ...] = (SessionCreated, *_REMOVAL)
#: Nothing may be carried to the container any more.
_UNREACHABLE: tuple[type[SessionEvent], ...] = (SessionStopping, *_REMOVAL, ContainerEnded)


class Forgets(Protocol):
    """A cache by session."""

    def forget(self, scope: str) -> None:
        """Forget what is kept of a session."""


class Cuts(Protocol):
    """Connections by session."""

    def drop_session(self, session_id: str) -> None:
        """End those of a session."""


def subscribe_access(events: EventBus, access: Access) -> None:
    """Remembered owners and links end with what they are about; so do the connections that they let in."""

    def changed(event: SessionEvent) -> None:
        access.session_changed(event.session_id)

    for kind in _OTHER_LIFE:
        events.subscribe(kind, changed)
    events.subscribe(LinkRevoked, lambda event: access.link_revoked(event.session_id, event.link_id))
    events.subscribe(SecretsChanged, lambda event: access.use_secrets(event.secrets))


def subscribe_idempotency(events: EventBus, *caches: Forgets) -> None:
    """Outcomes of a session's calls are not for another session of the same id."""
    for kind in _OTHER_LIFE:
        for cache in caches:
            events.subscribe(kind, _forget(cache))


def subscribe_registry(events: EventBus, previews: Previews) -> None:
    """A registration ends with its session. A container that ended by itself keeps it (contract section 5)."""

    def drop(event: SessionEvent) -> None:
        previews.drop(event.session_id)

    for kind in (*_STOP, *_REMOVAL):
        events.subscribe(kind, drop)


def subscribe_connections(events: EventBus, *connections: Cuts) -> None:
    """What is carried to a container ends with it.

    :param connections: WebSockets before the pool, so that they can send their Close before the connection breaks.
    """
    for kind in _UNREACHABLE:
        for each in connections:
            events.subscribe(kind, _cut(each))


def _forget(cache: Forgets) -> Callable[[SessionEvent], None]:
    return lambda event: cache.forget(event.session_id)


def _cut(each: Cuts) -> Callable[[SessionEvent], None]:
    return lambda event: each.drop_session(event.session_id)
