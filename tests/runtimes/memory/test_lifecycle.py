"""The in-memory runtime passes the lifecycle contract."""

from __future__ import annotations

import secrets

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from sandbox.domain.errors import EngineUnavailable
from sandbox.domain.model import ContainerState
from sandbox.runtimes.memory.programs import MemoryAgents
from sandbox.runtimes.memory.runtime import MemoryRuntime
from tests.contracts.runtime_lifecycle import LifecycleContract
from tests.waiting import pause


class MemoryLifecycleTests(LifecycleContract, TestCase):
    """The contract, and what only the twin can play."""

    image = "image:1"

    def setUp(self) -> None:
        # A creation takes a while, as with an engine, so that there is something to cancel.
        self.runtime = MemoryRuntime({self.image: "session"}, MemoryAgents(reactor, {}), lambda: pause(0.1))
        self.addCleanup(self.runtime.close)

    def session_id(self) -> str:
        return secrets.token_hex(8)

    async def foreign(self, session_id: str, running: bool = True) -> str:
        container = self.runtime.containers.add(session_id)
        if running:
            self.runtime.containers.start(container.id)
        return container.id

    async def kill(self, container_id: str) -> None:
        self.runtime.containers.die(container_id)

    async def freeze(self, container_id: str) -> None:
        self.runtime.containers.pause(container_id)

    async def vanish(self, container_id: str) -> None:
        self.runtime.containers.vanish(container_id)

    def traces(self, session_id: str) -> list[str]:
        containers = self.runtime.containers
        found = [one.id for one in containers.every() if one.session_id == session_id]
        return found + [one for one in containers.workspaces() if one == session_id]

    async def test_an_engine_that_is_away_and_comes_back(self) -> None:
        container = await self.runtime.create(self.spec())
        heard: list[str] = []
        self.runtime.watch(lambda session_id, found: heard.append(session_id))
        end = self.runtime.on_return(lambda: heard.append("returned"))
        self.runtime.containers.leave()
        self.assertIsNone(self.runtime.cached(container.session_id))
        for call in (self.runtime.ping, self.runtime.list, self.runtime.workspaces):
            await self.failure_of(call(), EngineUnavailable)
        self.assertEqual(heard, [])
        self.runtime.containers.come_back()
        self.assertEqual(heard, [container.session_id, "returned"])
        self.assertEqual(self.runtime.cached(container.session_id), container)
        end()
        self.runtime.containers.come_back()
        self.assertEqual(heard.count("returned"), 1)

    async def test_an_address_can_be_given(self) -> None:
        container = await self.runtime.create(self.spec())
        self.runtime.containers.place(container.id, "127.0.0.1")
        found = self.runtime.cached(container.session_id)
        self.assertEqual((found.address, found.state), ("127.0.0.1", ContainerState.RUNNING))
