"""The bus that connects publishers of domain events with their subscribers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

from twisted.logger import Logger

from sandbox.domain.events import Event, SessionEvent

E = TypeVar("E", bound=Event | SessionEvent)
_log = Logger()


class EventBus:
    """Calls subscribers synchronously, in the order of their subscription.

    A subscriber that fails is logged and does not keep an event from the others: each of them guards something of its
    own that must end with the session.
    """

    def __init__(self) -> None:
        self._subscribers: defaultdict[type[Any], list[Callable[[Any], None]]] = defaultdict(list)

    def subscribe(self, kind: type[E], subscriber: Callable[[E], None]) -> None:
        """Call ``subscriber`` with each event of a class from now on."""
        self._subscribers[kind].append(subscriber)

    def publish(self, event: Event) -> None:
        """Deliver an event; fires nothing and never raises."""
        for subscriber in tuple(self._subscribers[type(event)]):
            try:
                subscriber(event)
            except Exception:
                _log.failure("a subscriber of {event} failed", event=type(event).__name__)
