"""One link a container: opened when first needed, shared, closed when it was idle for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import ContainerNotRunning, EngineUnavailable, Overloaded
from sandbox.domain.model import Container
from sandbox.runtimes.docker.agent_link import AgentLink, Outcome
from sandbox.runtimes.docker.agent_starter import Opener

_log = Logger()

#: Uploads at once to one container: its agent holds each in the container's memory until it is whole.
_UPLOADS = 4


@attrs.define(eq=False)
class Seat:
    """What the daemon has in a container.

    :ivar opened: the link, once its agent has greeted.
    :ivar attempt: the newest connection, greeted or not.
    :ivar users: operations that use the link or wait for it.
    :ivar dropped: whether it was let go because the container stops.
    """

    container: Container
    opened: Outcome[AgentLink] = attrs.field(factory=Outcome)
    attempt: AgentLink | None = None
    users: int = 0
    dropped: bool = False
    uploads: DeferredSemaphore = attrs.field(factory=lambda: DeferredSemaphore(_UPLOADS))
    idle: Any = None

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
        if self.idle is not None and self.idle.active():
            self.idle.cancel()
        self.idle = None


class Links:
    """The links of one daemon.

    A link needs no life of its container noted: when that ends, the link does.

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
        if max(seat.users, seat.attempt.busy if seat.attempt else 0) >= self._limit:
            raise Overloaded("Too many requests at once for this container", code="CONTAINER_BUSY")
        seat.users += 1
        seat.stay_open()
        try:
            yield seat, await seat.opened.wait()
        finally:
            seat.users -= 1
            self._rest(seat)

    def drop(self, container_id: str) -> None:
        """The container stopped, or is about to: end its link, whatever it does."""
        seat = self._seats.pop(container_id, None)
        if seat is not None:
            seat.end(ContainerNotRunning(seat.container.session_id))

    def abandon(self, seat: Seat) -> None:
        """The agent is no good any more: the next operation gets another."""
        self._forget(seat)
        seat.close()

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
        if seat is None:
            seat = self._seats[container.id] = Seat(container)
            Deferred.fromCoroutine(self._open(seat)).addErrback(self._failed, seat)
        return seat

    async def _open(self, seat: Seat) -> None:
        def attempt() -> AgentLink:
            seat.attempt = AgentLink(lambda link: self._ended(seat, link))
            return seat.attempt

        link = await self._opener.open(seat.container, attempt)
        if seat.dropped:
            link.close()
            return
        seat.opened.finish(link)
        self._rest(seat)

    def _rest(self, seat: Seat) -> None:
        link = seat.attempt
        if not seat.users and self._idle and seat.idle is None and link is not None and link.connected_now:
            seat.idle = self._reactor.callLater(self._idle, self.abandon, seat)

    def _failed(self, failure: Failure, seat: Seat) -> None:
        self._forget(seat)
        if not seat.users and not seat.dropped:
            _log.warn("no agent in container={id}: {error}", id=seat.container.id[:12], error=failure.value)
        seat.opened.finish(failure)

    def _ended(self, seat: Seat, link: AgentLink) -> None:
        if seat.attempt is link:
            seat.stay_open()
            # A greeting that is still awaited fails by itself, and another attempt may follow.
            if seat.opened.over:
                self._forget(seat)

    def _forget(self, seat: Seat) -> None:
        if self._seats.get(seat.container.id) is seat:
            del self._seats[seat.container.id]


def _closed() -> EngineUnavailable:
    return EngineUnavailable("The connection to the Docker engine is closed")
