"""Events that come from a real engine, and the link to a container's agent that they end."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from sandbox.domain.events import ContainerEnded
from sandbox.domain.model import Container, ContainerSpec, ExecSpec
from sandbox.events.bus import EventBus
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.engine import EngineSubsystem
from sandbox.settings import Settings
from tests.engine import BUSYBOX
from tests.runtimes.docker.site import SiteTestCase


class OnAnEngine(SiteTestCase):
    """What a real engine says of a container becomes an event, and the link to the container's agent closes."""

    async def opened(self, settings: Settings | None = None, instance: str | None = None) -> DockerRuntime:
        """A runtime that the subsystem is to open."""
        return DockerRuntime(reactor, self.settings, self.site.instance, Scheduler(reactor))

    async def setUp(self) -> None:
        await super().setUp()
        self.events = EventBus()
        self.ended: list[str] = []
        self.waiting: list[Deferred[None]] = []
        self.events.subscribe(ContainerEnded, self.hear)
        engine = EngineSubsystem(self.runtime, self.events)
        await engine.open()
        self.addCleanup(lambda: Deferred.fromCoroutine(engine.close()))

    def hear(self, event: ContainerEnded) -> None:
        """Note an event."""
        self.ended.append(event.session_id)
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)

    async def container(self) -> Container:
        """A container whose agent has a link."""
        spec = ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX)
        container: Container = await self.runtime.create(spec)
        self.assertEqual((await self.runtime.execute(container, ExecSpec(argv=[b"/bin/true"]))).exit_code, 0)
        self.assertEqual(self.runtime.links, 1)
        return container

    async def ends(self, container: Container) -> None:
        """Wait for the event; the link is closed by then."""
        while container.session_id not in self.ended:
            self.waiting.append(Deferred())
            await self.waiting[-1].addTimeout(30, reactor)
        self.assertEqual(self.runtime.links, 0)

    async def test_a_container_that_is_killed_from_outside(self) -> None:
        container = await self.container()
        await self.outside(self.site.engine.kill, container.id)
        await self.ends(container)

    async def test_a_container_that_is_stopped(self) -> None:
        container = await self.container()
        await self.runtime.stop(container.id)
        await self.ends(container)

    async def test_a_container_that_is_removed(self) -> None:
        container = await self.container()
        await self.runtime.remove(container.session_id)
        await self.ends(container)
