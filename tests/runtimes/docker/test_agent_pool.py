"""Which containers get an agent's link."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import EngineError
from sandbox.domain.model import Container, ContainerState
from sandbox.runtimes.docker.agent_link import AgentLink
from sandbox.runtimes.docker.agent_pool import AgentPool


def running(name: str) -> Container:
    """A session's container."""
    return Container(id=name * 32, session_id=name, state=ContainerState.RUNNING, image="i")


class Starter:
    """Starts agents that greet at once."""

    def __init__(self) -> None:
        self.links: list[AgentLink] = []

    async def open(self, container: Container, new_link: Callable[[], AgentLink]) -> AgentLink:
        """As :meth:`AgentStarter.open`."""
        link = new_link()
        link.makeConnection(StringTransport())
        self.links.append(link)
        return link


class Broken(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.starter: Any = Starter()
        self.pool = AgentPool(self.clock, self.starter, idle=0, limit=4, backoff=30.0)

    def use(self, container: Container) -> None:
        """Acquire the link of a container's agent, and give it back."""

        async def use() -> None:
            async with self.pool.acquire(container):
                pass

        self.successResultOf(Deferred.fromCoroutine(use()))

    def refused(self, container: Container) -> str:
        """Why a container gets no link."""

        async def use() -> None:
            async with self.pool.acquire(container):
                pass

        failure = self.failureResultOf(Deferred.fromCoroutine(use()), EngineError)
        return str(failure.value.reason_code)

    def test_f32_a_container_whose_agent_broke_the_protocol_gets_no_other_for_a_while(self) -> None:
        hostile, other = running("s1"), running("s2")
        self.use(hostile)
        self.use(other)
        self.starter.links[0].broken = True
        self.starter.links[0].connectionLost()
        self.starter.links[1].connectionLost()
        self.assertEqual(self.refused(hostile), "AGENT_UNAVAILABLE")
        self.use(other)
        self.clock.advance(30)
        self.use(hostile)
        self.assertEqual(len(self.starter.links), 4)
