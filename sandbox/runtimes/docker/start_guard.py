"""Starting an agent in a container that may make the engine hang.

Root in a container can stop the engine's ``runc init`` while an agent is started. The engine then holds its lock on
that container, and an inspection during that time makes the deadlock permanent: even a removal blocks. So a start has a
timeout, during which removals are the only other calls about the container; after the timeout the guard kills the
container before any other call about it, which releases the lock.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import ContainerNotFound, ContainerNotRunning, EngineError, EngineUnavailable
from sandbox.domain.model import Container
from sandbox.runtimes.docker.agent_link import SharedResult
from sandbox.runtimes.docker.container_calls import ContainerCalls
from sandbox.runtimes.docker.reactor_calls import ReactorCalls

T = TypeVar("T")
_log = Logger()

#: Seconds within which a hung start ends once the engine is back or the container was killed.
_MOMENT = 1.0


class StartGuard:
    """Bounds the starts of agents.

    :param calls: serialises calls about one container.
    :param rescue: makes the calls that end a hung start.
    :param timeout: the timeout of a start, in seconds.
    """

    def __init__(self, reactor: Any, calls: ContainerCalls, rescue: ReactorCalls, *, timeout: float) -> None:
        self._reactor = reactor
        self._calls = calls
        self._rescue = rescue
        self._timeout = timeout
        self._hanging: set[Callable[[], None]] = set()

    def run(
        self,
        container: Container,
        attempt: Callable[[Callable[[], None]], Awaitable[T]],
        give_up: Callable[[], None],
    ) -> Deferred[T]:
        """The result of ``attempt``, within the timeout.

        :param attempt: starts an agent; calls its argument to begin the timeout, which excludes the wait for a thread.
        :param give_up: ends the attempt; called when its result is no longer needed.
        :raises EngineError: with AGENT_UNAVAILABLE when it hung and the container was killed.
        :raises EngineUnavailable: when the engine as a whole does not answer; the container is then left as it is.
        :raises ContainerNotRunning: when the container was paused meanwhile.
        """
        answer: SharedResult[T] = SharedResult()

        async def alone() -> None:
            begun: SharedResult[None] = SharedResult()
            outcome: SharedResult[T] = SharedResult()
            running = Deferred.fromCoroutine(_awaited(attempt(lambda: begun.finish(None))))
            running.addBoth(outcome.finish).addBoth(begun.finish)
            await begun.wait()
            if not await self._comes(outcome, self._timeout):
                self._hanging.add(give_up)
                try:
                    await self._end(container, outcome, answer)
                finally:
                    self._hanging.discard(give_up)
            if outcome.over:
                self._calls.forget(container.id)
            if answer.over:
                give_up()
                outcome.wait().addErrback(lambda _: None)
            else:
                answer.finish(await outcome.wait())

        self._calls.run(container.id, alone).addErrback(answer.finish)
        return answer.wait()

    def close(self) -> None:
        """Give up the hung starts."""
        for give_up in list(self._hanging):
            give_up()

    async def _end(self, container: Container, outcome: SharedResult[T], answer: SharedResult[T]) -> None:
        """End a hung start: hold the container's mutex and kill the container until the start returns."""
        while True:
            self._calls.leave_alone(container.id)
            try:
                await self._rescue.ping()
                if await self._comes(outcome, _MOMENT):
                    return
                state = await self._rescue.state(container.id)
                if state == "running":
                    # Answer before the kill: the engine's event of the container's end would set another answer.
                    answer.finish(Failure(self._hung(container)))
                    await self._rescue.kill(container.id)
                    await self._comes(outcome, _MOMENT)
                    return
                gone = ContainerNotFound(container.session_id)
                answer.finish(Failure(gone if state is None else ContainerNotRunning(container.session_id, state)))
                if state != "paused":
                    return
                # A paused container starts nothing until it is resumed: wait.
            except EngineUnavailable:
                answer.finish(Failure())
            if await self._comes(outcome, self._timeout):
                return

    def _hung(self, container: Container) -> EngineError:
        _log.warn(
            "session={session} container={container} is killed: no agent started in it within {seconds:g} s",
            session=container.session_id,
            container=container.id[:12],
            seconds=self._timeout,
        )
        return unavailable(f"it did not start within {self._timeout:g} s, so the container is killed")

    async def _comes(self, outcome: SharedResult[T], seconds: float) -> bool:
        with suppress(Exception):
            await outcome.wait().addTimeout(seconds, self._reactor)
        return outcome.over


async def _awaited(work: Awaitable[T]) -> T:
    return await work


def unavailable(reason: str) -> EngineError:
    """The error of a container in which no agent can run."""
    return EngineError(f"the container gives the agent nothing to work with: {reason}", code="AGENT_UNAVAILABLE")
