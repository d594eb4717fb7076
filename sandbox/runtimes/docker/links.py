"""One link a container: opened when first needed, shared, closed when it was idle for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.errors import ContainerNotRunning, EngineUnavailable, Overloaded
from sandbox.model import Container
from sandbox.runtimes.docker.link import AgentLink
from sandbox.runtimes.docker.opening import Opener

_log = Logger()

#: Uploads at once to one container: its agent holds each in the container's memory until it is whole.
_UPLOADS = 4


@attrs.define(eq=False)
class Seat:
    """What the daemon has in one life of one container.

    :ivar link: the link, once its agent has greeted.
    :ivar attempt: the connection that is being opened.
    :ivar users: operations that use the link or wait for it.
    :ivar dropped: whether it was let go because the container stops.
    """

    container: Container
    link: AgentLink | None = None
    attempt: AgentLink | None = None
    users: int = 0
    dropped: bool = False
    uploads: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(_UPLOADS))
    waiting: list[Deferred[None]] = attrs.field(factory=list)
    idle: Any = None

    def wake(self, result: Failure | None = None) -> None:
        """The opening is over: let those go on who wait for it."""
        waiting, self.waiting = self.waiting, []
        for deferred in waiting:
            deferred.callback(result)

    def end(self, reason: Exception) -> None:
        """Let go of the container."""
        self.dropped = True
        self.stay_open()
        for link in (self.link, self.attempt):
            if link is not None:
                link.close()
        self.wake(Failure(reason))

    def stay_open(self) -> None:
        """Forget about closing it for being idle."""
        if self.idle is not None and self.idle.active():
            self.idle.cancel()
        self.idle = None


class Links:
    """The links of one daemon.

    :param idle: seconds after which an unused link is closed; 0 keeps it.
    :param limit: operations at once in one container, waiting ones included.
    """

    def __init__(self, reactor: Any, opener: Opener, *, idle: float, limit: int) -> None:
        self._reactor = reactor
        self._opener = opener
        self._idle = idle
        self._limit = limit
        self._seats: dict[str, Seat] = {}
        self._closed = False

    @asynccontextmanager
    async def hold(self, container: Container) -> AsyncIterator[tuple[Seat, AgentLink]]:
        """An open link to the container's agent, kept open meanwhile.

        :raises Overloaded: when too many operations are under way in that container.
        :raises EngineError: when no agent can be had.
        """
        seat = self._seat(container)
        if max(seat.users, seat.link.busy if seat.link else 0) >= self._limit:
            raise Overloaded("Too many requests at once for this container", code="CONTAINER_BUSY")
        seat.users += 1
        try:
            seat.stay_open()
            while seat.link is None:
                waiter: Deferred[None] = Deferred(seat.waiting.remove)
                seat.waiting.append(waiter)
                await waiter
            yield seat, seat.link
        finally:
            seat.users -= 1
            if not seat.users and self._idle and seat.link is not None and seat.link.connected_now:
                seat.idle = self._reactor.callLater(self._idle, seat.link.close)

    def drop(self, container_id: str) -> None:
        """The container stopped, or is about to: end its link, whatever it does."""
        seat = self._seats.pop(container_id, None)
        if seat is not None:
            seat.end(ContainerNotRunning(seat.container.session_id))

    def abandon(self, seat: Seat) -> None:
        """The agent is no good any more: the next operation gets another."""
        self._forget(seat.container.id, seat)
        if seat.link is not None:
            seat.link.close()

    def close(self) -> None:
        """End every link, and open no more."""
        self._closed = True
        seats, self._seats = self._seats, {}
        for seat in seats.values():
            seat.end(_closed())

    def _seat(self, container: Container) -> Seat:
        if self._closed:
            raise _closed()
        seat = self._seats.get(container.id)
        if seat is not None and seat.container.started_at != container.started_at:
            self.drop(container.id)
            seat = None
        if seat is None:
            seat = self._seats[container.id] = Seat(container)
            Deferred.fromCoroutine(self._open(container, seat)).addErrback(self._failed, container, seat)
        return seat

    async def _open(self, container: Container, seat: Seat) -> None:
        def attempt() -> AgentLink:
            seat.attempt = AgentLink(lambda link: self._ended(container.id, seat, link))
            return seat.attempt

        link = await self._opener.open(container, attempt)
        seat.attempt = None
        if seat.dropped:
            link.close()
            return
        seat.link = link
        seat.wake()

    def _failed(self, failure: Failure, container: Container, seat: Seat) -> None:
        self._forget(container.id, seat)
        if not seat.waiting and not seat.dropped:
            _log.warn("no agent in container={container}: {error}", container=container.id[:12], error=failure.value)
        seat.wake(failure)

    def _ended(self, container_id: str, seat: Seat, link: AgentLink) -> None:
        if seat.link is link:
            seat.stay_open()
            self._forget(container_id, seat)

    def _forget(self, container_id: str, seat: Seat) -> None:
        if self._seats.get(container_id) is seat:
            del self._seats[container_id]


def _closed() -> EngineUnavailable:
    return EngineUnavailable("The connection to the Docker engine is closed")
