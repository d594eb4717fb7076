"""One link a container: opened when first needed, shared, closed when it was idle for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import ContainerNotRunning, EngineError, EngineUnavailable, Overloaded
from sandbox.domain.model import Container
from sandbox.net.fairness import RunQueue
from sandbox.net.timers import Timer
from sandbox.runtimes.docker.agent_link import AgentLink, SharedResult
from sandbox.runtimes.docker.agent_starter import AgentStarter
from sandbox.runtimes.docker.backoff import Backoff

_log = Logger()

#: Uploads at once to one container: its agent holds each in the container's memory until it is whole.
_UPLOADS = 4


@attrs.define(eq=False)
class AgentSlot:
    """What the daemon has in a container.

    :ivar opened: the link, once its agent has greeted.
    :ivar attempt: the newest connection, greeted or not.
    :ivar users: operations that use the link or wait for it.
    :ivar dropped: whether it was let go because the container stops.
    """

    container: Container
    _idle: Timer
    opened: SharedResult[AgentLink] = attrs.field(factory=SharedResult)
    attempt: AgentLink | None = None
    users: int = 0
    dropped: bool = False
    uploads: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(_UPLOADS))

    def end(self, reason: Exception) -> None:
        """Let go of the container."""
        self.dropped = True
        self.close()
        self.opened.finish(Failure(reason))

    def close(self) -> None:
        """End the connection."""
        self.stay_open()
        if self.attempt is not None:
            self.attempt.close()

    def stay_open(self) -> None:
        """Forget about closing it for being idle."""
        self._idle.stop()

    def rest(self, seconds: float, end: Callable[[AgentSlot], None]) -> None:
        """Call ``end`` unless it is used again within ``seconds``."""
        if not self._idle.active:
            self._idle.start(seconds, end, self)


class AgentPool:
    """The links of one daemon.

    A link needs no life of its container noted: when that ends, the link does.

    :param idle: seconds after which an unused link is closed; 0 keeps it.
    :param limit: operations at once in one container, waiting ones included.
    :param backoff: seconds for which a container whose agent broke the protocol gets no other.
    :ivar stalled: called with a link whose agent does not take what is sent.
    """

    def __init__(self, reactor: Any, starter: AgentStarter, *, idle: float, limit: int, backoff: float) -> None:
        self.stalled: Callable[[AgentSlot, AgentLink], None] = lambda slot, link: None
        self._reactor = reactor
        self._starter = starter
        self._idle = idle
        self._limit = limit
        self._slots: dict[str, AgentSlot] = {}
        # These get no other agent: starting one costs several engine calls, breaking it nothing.
        self._broken = Backoff(reactor, backoff)
        self._closed = False

    def __len__(self) -> int:
        """Links that are open or being opened."""
        return len(self._slots)

    @asynccontextmanager
    async def acquire(self, container: Container) -> AsyncIterator[tuple[AgentSlot, AgentLink]]:
        """An open link to the container's agent, kept open meanwhile.

        :raises Overloaded: when too many operations are under way in that container.
        :raises EngineError: when no agent can be had.
        """
        slot = self._slot(container)
        if max(slot.users, slot.attempt.busy if slot.attempt else 0) >= self._limit:
            raise Overloaded("Too many requests at once for this container", code="CONTAINER_BUSY")
        slot.users += 1
        slot.stay_open()
        try:
            yield slot, await slot.opened.wait()
        finally:
            slot.users -= 1
            self._rest(slot)

    def drop(self, container_id: str) -> None:
        """The container stopped, or is about to: end its link, whatever it does."""
        slot = self._slots.pop(container_id, None)
        if slot is not None:
            slot.end(ContainerNotRunning(slot.container.session_id))

    def abandon(self, slot: AgentSlot) -> None:
        """The agent is no good any more: the next operation gets another."""
        self._forget(slot)
        slot.close()

    def close(self) -> None:
        """End every link, and open no more."""
        self._closed = True
        slots, self._slots = self._slots, {}
        for slot in slots.values():
            slot.end(_closed())

    def _slot(self, container: Container) -> AgentSlot:
        if self._closed:
            raise _closed()
        slot = self._slots.get(container.id)
        if slot is None:
            if container.id in self._broken:
                raise EngineError(
                    "the container's agent broke the protocol a short while ago", code="AGENT_UNAVAILABLE"
                )
            slot = self._slots[container.id] = AgentSlot(container, Timer(self._reactor))
            Deferred.fromCoroutine(self._open(slot)).addErrback(self._failed, slot)
        return slot

    async def _open(self, slot: AgentSlot) -> None:
        def attempt() -> AgentLink:
            slot.attempt = AgentLink(
                lambda link: self._ended(slot, link),
                RunQueue.of(self._reactor),
                lambda link: self.stalled(slot, link),
            )
            return slot.attempt

        link = await self._starter.open(slot.container, attempt)
        if slot.dropped:
            link.close()
            return
        slot.opened.finish(link)
        self._rest(slot)

    def _rest(self, slot: AgentSlot) -> None:
        link = slot.attempt
        if not slot.users and self._idle and link is not None and link.connected_now:
            slot.rest(self._idle, self.abandon)

    def _failed(self, failure: Failure, slot: AgentSlot) -> None:
        self._forget(slot)
        if not slot.users and not slot.dropped:
            _log.warn("no agent in container={id}: {error}", id=slot.container.id[:12], error=failure.value)
        slot.opened.finish(failure)

    def _ended(self, slot: AgentSlot, link: AgentLink) -> None:
        if link.broken:
            self._broken.start(slot.container.id)
        if slot.attempt is link:
            slot.stay_open()
            # A greeting that is still awaited fails by itself, and another attempt may follow.
            if slot.opened.over:
                self._forget(slot)

    def _forget(self, slot: AgentSlot) -> None:
        if self._slots.get(slot.container.id) is slot:
            del self._slots[slot.container.id]


def _closed() -> EngineUnavailable:
    return EngineUnavailable("The connection to the Docker engine is closed")
