"""Registrations never outlive their session (F1 of the faults found in what landed; contract section 4)."""

from __future__ import annotations

from sandbox.domain.errors import ContainerNotFound, ContainerNotRunning, PreviewNotRegistered
from sandbox.domain.events import PreviewRegistered
from sandbox.domain.model import Preview
from sandbox.domain.principals import ROOT
from sandbox.operations.previews import PreviewRegistration
from sandbox.routing.previews import Previews
from sandbox.service.subscriptions import subscribe_registry
from tests.operations.test_sessions import SessionsTestCase


class RegistrationTests(SessionsTestCase):
    """Registrations beside the changes of a session."""

    def setUp(self) -> None:
        super().setUp()
        self.previews = Previews(self.runtime, limit=10)
        subscribe_registry(self.events, self.previews)
        self.registration = PreviewRegistration(self.runtime, self.previews, self.locks, self.events)
        self.preview = Preview(session_id="s", port=3000)

    def assert_not_registered(self) -> None:
        """Session s has no port, and a later session of that id gets none."""
        self.assertRaises(PreviewNotRegistered, self.previews.preview, "s")
        self.create("s", "somebody-else")
        self.assertRaises(PreviewNotRegistered, self.previews.preview, "s")

    def test_it_is_published(self) -> None:
        self.create("s")
        self.news()
        self.successResultOf(self.registration.register(ROOT, self.preview))
        self.assertEqual(self.news(), [PreviewRegistered(self.preview, by=ROOT)])
        self.assertIs(self.previews.preview("s"), self.preview)

    def test_f1_while_the_session_is_being_deleted(self) -> None:
        self.create("s")
        held = self.store.hold("remove")
        deletion = self.sessions.delete(ROOT, "s")
        registration = self.registration.register(ROOT, self.preview)
        self.assertNoResult(registration)
        held.callback(None)
        self.successResultOf(deletion)
        self.failureResultOf(registration, ContainerNotFound)
        self.assert_not_registered()

    def test_f1_while_the_session_is_being_stopped(self) -> None:
        self.create("s")
        held = self.store.hold("replace")
        stop = self.sessions.stop(ROOT, "s")
        registration = self.registration.register(ROOT, self.preview)
        self.assertNoResult(registration)
        held.callback(None)
        self.successResultOf(stop)
        self.failureResultOf(registration, ContainerNotRunning)
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assert_not_registered()
