"""Subscriptions to domain events: all of them are made here, and this table lists them.

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

The runtime itself closes the link to a container's agent when the container stops or is removed.
``tests/service/test_subscriptions.py`` tests the table.
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
#: Cached state of the session id becomes invalid.
_OTHER_LIFE: tuple[type[SessionEvent], ...] = (SessionCreated, *_REMOVAL)
#: The container is no longer a destination.
_UNREACHABLE: tuple[type[SessionEvent], ...] = (SessionStopping, *_REMOVAL, ContainerEnded)


class Forgets(Protocol):
    """A cache with entries by session."""

    def forget(self, scope: str) -> None:
        """Remove a session's entries."""


class Cuts(Protocol):
    """A set of connections by session."""

    def drop_session(self, session_id: str) -> None:
        """Close a session's connections."""


def subscribe_access(events: EventBus, access: Access) -> None:
    """Invalidate cached owners, links and keys, and close the connections that they authorized."""

    def changed(event: SessionEvent) -> None:
        access.session_changed(event.session_id)

    for kind in _OTHER_LIFE:
        events.subscribe(kind, changed)
    events.subscribe(LinkRevoked, lambda event: access.link_revoked(event.session_id, event.link_id))
    events.subscribe(SecretsChanged, lambda event: access.use_secrets(event.secrets))


def subscribe_idempotency(events: EventBus, *caches: Forgets) -> None:
    """Invalidate cached results of a session, so that they are not replayed for a later session of the same id."""
    for kind in _OTHER_LIFE:
        for cache in caches:
            events.subscribe(kind, _forget(cache))


def subscribe_registry(events: EventBus, previews: Previews) -> None:
    """Drop the registration of a stopped or removed session. It survives a container's own end (contract section 5)."""

    def drop(event: SessionEvent) -> None:
        previews.drop(event.session_id)

    for kind in (*_STOP, *_REMOVAL):
        events.subscribe(kind, drop)


def subscribe_connections(events: EventBus, *connections: Cuts) -> None:
    """Close connections to a container that ends.

    :param connections: WebSockets before the pool, so that they send their Close before the pool aborts connections.
    """
    for kind in _UNREACHABLE:
        for each in connections:
            events.subscribe(kind, _cut(each))


def _forget(cache: Forgets) -> Callable[[SessionEvent], None]:
    return lambda event: cache.forget(event.session_id)


def _cut(each: Cuts) -> Callable[[SessionEvent], None]:
    return lambda event: each.drop_session(event.session_id)
