"""The in-process bus of domain events."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.logger import Logger

from sandbox.domain.events import Event, SessionEvent

E = TypeVar("E", bound=Event | SessionEvent)
_log = Logger()


class EventBus:
    """Calls subscribers synchronously, in the order of subscription.

    An exception in a subscriber is logged and does not affect the others: each one releases its own state of a session.
    """

    def __init__(self) -> None:
        self._subscribers: defaultdict[type[Any], list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Call ``subscriber`` with each further event of class ``kind``."""
        self._subscribers[kind].append(subscriber)

    def publish(self, event: Event) -> None:
        """Deliver an event to its subscribers; never raises."""
        for subscriber in tuple(self._subscribers[type(event)]):
            try:
                subscriber(event)
            except Exception:
                _log.failure("subscriber of {event} failed", event=type(event).__name__)
