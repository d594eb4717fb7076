"""Closes the links of unresponsive agents: those that do not confirm a kill or do not read what is sent to them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sandbox.domain.errors import EngineUnavailable
from sandbox.net.timers import Timer, timer
from sandbox.runtimes.docker.agent_link import AgentLink
from sandbox.runtimes.docker.agent_pool import AgentPool, AgentSlot

_log = Logger()


class LinkWatch:
    """Gives each agent a deadline. An expired deadline closes the link unless the container is paused or the engine is
    unavailable; then the deadline starts anew.

    :param state: reads a container's state from the engine without waiting for the container's lock.
    :param patience: the deadline, in seconds.
    """

    def __init__(
        self, reactor: Any, links: AgentPool, state: Callable[[str], Deferred[str | None]], *, patience: float
    ) -> None:
        self._reactor = reactor
        self._links = links
        self._state = state
        self._patience = patience
        self._timers: set[Timer] = set()
        self._closed = False

    def kill(self, slot: AgentSlot, link: AgentLink, request_id: int) -> None:
        """Kill a request that has no waiting caller left, and discard its output."""
        link.kill(request_id)
        if link.pending(request_id):
            self._later(slot, link, "does not confirm a kill", lambda: link.pending(request_id))

    def stalled(self, slot: AgentSlot, link: AgentLink) -> None:
        """The link's send buffer is full: close the link if that lasts until the deadline."""
        pauses = link.pauses
        self._later(slot, link, "takes nothing", lambda: link.paused and link.pauses == pauses)

    def close(self) -> None:
        """Stop all deadlines."""
        self._closed = True
        for due in self._timers:
            due.stop()
        self._timers.clear()

    def _later(self, slot: AgentSlot, link: AgentLink, fault: str, persists: Callable[[], bool]) -> None:
        def look() -> None:
            self._timers.discard(due)
            if persists():
                looking = Deferred.fromCoroutine(self._look(slot, link, fault, persists))
                looking.addErrback(lambda failure: _log.failure("the check of an agent's link failed", failure))

        if not self._closed:
            due = timer(self._reactor, self._patience, look)
            self._timers.add(due)

    async def _look(self, slot: AgentSlot, link: AgentLink, fault: str, persists: Callable[[], bool]) -> None:
        try:
            excused = await self._state(slot.container.id) == "paused"
        except EngineUnavailable:
            excused = True
        if not persists():
            return
        if excused:
            self._later(slot, link, fault, persists)
            return
        _log.warn(
            "container={container}: its agent {fault}: link closed", container=slot.container.id[:12], fault=fault
        )
        self._links.abandon(slot)
        link.close()
