"""Ends the links of agents that do not do what they have to: confirm that a request was killed, take what is sent."""

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
    """Gives agents a time, and looks then whether it is their fault: a paused container does nothing until it goes on,
    and while the engine is away nothing comes through.

    :param state: a container's state by the engine, without waiting for the container.
    :param patience: seconds that an agent has.
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
        """End a request that nothing waits for any more; keep nothing more of it."""
        link.kill(request_id)
        if link.pending(request_id):
            self._later(slot, link, "does not confirm a kill", lambda: link.pending(request_id))

    def stalled(self, slot: AgentSlot, link: AgentLink) -> None:
        """The agent does not take what is sent to it just now."""
        pauses = link.pauses
        self._later(slot, link, "takes nothing", lambda: link.paused and link.pauses == pauses)

    def close(self) -> None:
        """Watch no more."""
        self._closed = True
        for due in self._timers:
            due.stop()
        self._timers.clear()

    def _later(self, slot: AgentSlot, link: AgentLink, fault: str, persists: Callable[[], bool]) -> None:
        def look() -> None:
            self._timers.discard(due)
            if persists():
                looking = Deferred.fromCoroutine(self._look(slot, link, fault, persists))
                looking.addErrback(lambda failure: _log.failure("a link could not be looked after", failure))

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
            "container={container}: its agent {fault}, and is let go", container=slot.container.id[:12], fault=fault
        )
        self._links.abandon(slot)
        link.close()
