"""Containers that get no calls of one kind for a while."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime


class Backoff:
    """Containers in backoff, by id. Bounded by the number of containers that entered it within ``seconds``.

    :ivar seconds: duration of a backoff.
    """

    def __init__(self, clock: IReactorTime, seconds: float) -> None:
        self.seconds = seconds
        self._clock = clock
        self._until: dict[str, float] = {}

    def __contains__(self, container_id: str) -> bool:
        return self._until.get(container_id, 0.0) > self._clock.seconds()

    def start(self, container_id: str) -> None:
        """Begin the container's backoff, or begin it anew."""
        now = self._clock.seconds()
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[container_id] = now + self.seconds

    def end(self, container_id: str) -> None:
        """End the container's backoff. Idempotent."""
        self._until.pop(container_id, None)
