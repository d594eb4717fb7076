"""Every domain event against every subscriber: the table of ``sandbox/service/subscriptions.py``.

What ends in these tests is real: a registration, a cached owner and outcome, an agent's link to a real container. The
events that come from an engine are in :class:`OnAnEngine`.
"""

from __future__ import annotations

from typing import Any, get_args

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.events import (
    ContainerEnded,
    Event,
    LinkRevoked,
    PreviewRegistered,
    SecretsChanged,
    SessionCreated,
    SessionRemoved,
    SessionRemoving,
    SessionStopped,
    SessionStopping,
)
from sandbox.domain.model import Container, ContainerSpec, ExecSpec, Preview
from sandbox.events.bus import EventBus
from sandbox.operations.idempotency import IdempotencyCache
from sandbox.routing.access import Access, Keys
from sandbox.routing.previews import Previews
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.runtimes.memory.programs import MemoryAgents
from sandbox.runtimes.memory.runtime import MemoryRuntime
from sandbox.service.engine import EngineSubsystem
from sandbox.service.subscriptions import (
    subscribe_access,
    subscribe_connections,
    subscribe_idempotency,
    subscribe_registry,
)
from sandbox.settings import Settings
from sandbox.stores.memory.store import MemoryStore
from tests.engine import BUSYBOX
from tests.runtimes.docker.site import SiteTestCase

S = "s1"
#: What each event ends: the registration, connections, what is remembered of access, kept outcomes.
TABLE: dict[Event, set[str]] = {
    SessionCreated(S, "u1"): {"access", "outcome"},
    SessionStopping(S): {"registration", "connections"},
    SessionStopped(S): {"registration"},
    SessionRemoving(S): {"registration", "connections", "access", "outcome"},
    SessionRemoved(S): {"registration", "connections", "access", "outcome"},
    ContainerEnded(S): {"connections"},
    PreviewRegistered(Preview(session_id=S, port=3000)): set(),
    LinkRevoked(S, "l1"): {"link"},
    SecretsChanged((b"new" * 16,)): {"secrets"},
}


class RecordedAccess(Access):
    """Access control that tells what it was told."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(Clock(), store, Keys([b"s" * 32], b"p" * 32), now=lambda: 0)
        self.heard: list[str] = []

    def session_changed(self, session_id: str) -> None:
        """Note it."""
        self.heard.append("access")
        super().session_changed(session_id)

    def link_revoked(self, session_id: str, link_id: str) -> None:
        """Note it."""
        self.heard.append("link")
        super().link_revoked(session_id, link_id)

    def use_keys(self, keys: Keys) -> None:
        """Note it."""
        self.heard.append("secrets")
        super().use_keys(keys)


class Connections:
    """Connections that note when they are cut, and in which order."""

    def __init__(self, name: str, heard: list[str]) -> None:
        self.name = name
        self.heard = heard

    def drop_session(self, session_id: str) -> None:
        """Note it."""
        self.heard.append(self.name)


class Table(SynchronousTestCase):
    """Each event, against a registry, connections, access control and a cache of outcomes."""

    def setUp(self) -> None:
        self.events = EventBus()
        self.previews = Previews(MemoryRuntime({}, MemoryAgents(reactor, {})), limit=10)
        self.access = RecordedAccess(MemoryStore())
        self.outcomes: IdempotencyCache[str] = IdempotencyCache(Clock(), lambda _: 1, keep=60, entries=9, capacity=9)
        self.cut: list[str] = []
        subscribe_access(self.events, self.access)
        subscribe_registry(self.events, self.previews)
        subscribe_connections(self.events, Connections("sockets", self.cut), Connections("pool", self.cut))
        subscribe_idempotency(self.events, self.outcomes)

    def ended_by(self, event: Event) -> set[str]:
        """What an event ends of session s1; another session keeps everything."""
        for session in (S, "other"):
            self.previews.add(Preview(session_id=session, port=3000))
            self.successResultOf(self.outcomes.run(session, "key", b"", lambda: succeed("first")))
        self.access.heard.clear()
        self.cut.clear()
        self.events.publish(event)
        ended = set(self.access.heard)
        if self.cut:
            self.assertEqual(self.cut, ["sockets", "pool"], "sockets send their Close before their connection breaks")
            ended.add("connections")
        if not self.is_registered(S):
            ended.add("registration")
        if self.outcome(S) != "first":
            ended.add("outcome")
        self.assertTrue(self.is_registered("other"))
        self.assertEqual(self.outcome("other"), "first")
        return ended

    def is_registered(self, session_id: str) -> bool:
        """Whether the registry has a port of a session."""
        try:
            self.previews.preview(session_id)
        except Exception:
            return False
        return True

    def outcome(self, session_id: str) -> Any:
        """What a repeated call gets."""
        return self.successResultOf(self.outcomes.run(session_id, "key", b"", lambda: succeed("again")))

    def test_each_event_ends_what_the_table_says(self) -> None:
        for event, ended in TABLE.items():
            self.setUp()
            with self.subTest(event=type(event).__name__):
                self.assertEqual(self.ended_by(event), ended)

    def test_the_table_has_every_event(self) -> None:
        self.assertEqual({type(event) for event in TABLE}, set(get_args(Event)))

    def test_a_subscriber_that_fails_is_logged_and_the_others_are_called(self) -> None:
        heard: list[Event] = []
        self.events.subscribe(SessionStopped, lambda event: 1 / 0)
        self.events.subscribe(SessionStopped, heard.append)
        self.events.publish(SessionStopped(S))
        self.assertEqual(heard, [SessionStopped(S)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class OnAnEngine(SiteTestCase):
    """What a real engine says of a container becomes an event, and the link to the container's agent closes."""

    async def opened(self, settings: Settings | None = None, instance: str | None = None) -> DockerRuntime:
        """A runtime that the subsystem is to open."""
        return DockerRuntime(reactor, self.settings, self.site.instance)

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
