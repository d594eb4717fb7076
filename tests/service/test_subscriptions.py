"""Every domain event against every subscriber: the table of ``sandbox/service/subscriptions.py``.

What ends in these tests is real: a registration, a cached owner and outcome. The events that come from an engine are in
``test_subscriptions_on_docker``.
"""

from __future__ import annotations

from typing import Any, get_args

from twisted.internet import reactor
from twisted.internet.defer import succeed
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
from sandbox.domain.model import Preview
from sandbox.domain.principals import ROOT, SYSTEM
from sandbox.events.bus import EventBus
from sandbox.operations.idempotency import IdempotencyCache
from sandbox.routing.access import Access, Keys
from sandbox.routing.previews import Previews
from sandbox.runtimes.memory.programs import MemoryAgents
from sandbox.runtimes.memory.runtime import MemoryRuntime
from sandbox.service.subscriptions import (
    subscribe_access,
    subscribe_connections,
    subscribe_idempotency,
    subscribe_registry,
)
from sandbox.stores.memory.store import MemoryStore

S = "s1"
#: What each event ends: the registration, connections, what is remembered of access, kept outcomes.
TABLE: dict[Event, set[str]] = {
    SessionCreated(S, "u1", by=ROOT): {"access", "outcome"},
    SessionStopping(S, by=ROOT): {"registration", "connections"},
    SessionStopped(S, by=ROOT): {"registration"},
    SessionRemoving(S, by=ROOT): {"registration", "connections", "access", "outcome"},
    SessionRemoved(S, by=ROOT): {"registration", "connections", "access", "outcome"},
    ContainerEnded(S, by=SYSTEM): {"connections"},
    PreviewRegistered(Preview(session_id=S, port=3000), by=ROOT): set(),
    LinkRevoked(S, "l1", by=ROOT): {"link"},
    SecretsChanged((b"new" * 16,), by=SYSTEM): {"secrets"},
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
            self.previews.add(Preview(session_id=session, port=3000), ROOT)
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
        self.events.publish(SessionStopped(S, by=ROOT))
        self.assertEqual(heard, [SessionStopped(S, by=ROOT)])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
