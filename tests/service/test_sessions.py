"""Reconciliation of what an operation left unfinished."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sandbox.domain.principals import ROOT
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.sessions import SessionsSubsystem
from tests.operations.test_sessions import SETTINGS, SessionsTestCase


class Unfinished(SessionsTestCase):
    """It is tried again soon, and not only at the next periodic run."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = Clock()
        scheduler = Scheduler(self.clock)
        self.subsystem = SessionsSubsystem(scheduler, SETTINGS, self.runtime, self.store, self.events)
        self.sessions = self.subsystem.sessions
        self.successResultOf(Deferred.fromCoroutine(self.subsystem.open()))
        self.quiet = len(self.clock.getDelayedCalls())

    def close(self) -> None:
        """Close the subsystem; nothing is left to be done."""
        self.successResultOf(Deferred.fromCoroutine(self.subsystem.close()))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_f35_what_the_store_could_not_record_is_removed_as_soon_as_it_can(self) -> None:
        self.create("s")
        self.store.failing = {"replace": "before", "remove": "before"}
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        for _ in range(3):
            self.assertEqual(len(self.clock.getDelayedCalls()), self.quiet + 1)
            self.clock.advance(5)
        self.store.failing = {}
        self.clock.advance(5)
        self.assert_nothing_left("s")
        self.assertEqual(len(self.clock.getDelayedCalls()), self.quiet)
        self.close()

    def test_f47_what_a_failed_creation_left_is_removed_when_the_engine_answers_again(self) -> None:
        self.held = True
        creation = self.sessions.create(ROOT, user_id="u", session_id="s")
        self.containers.leave()
        self.steps[0].callback(None)
        self.failureResultOf(creation)
        self.clock.advance(5)
        self.containers.come_back()
        self.clock.advance(5)
        self.assert_nothing_left("s")
        self.assertEqual(len(self.clock.getDelayedCalls()), self.quiet)
        self.close()

    def test_f35_closing_ends_what_was_to_be_tried_again(self) -> None:
        self.create("s")
        self.store.failing = {"remove": "before"}
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assertEqual(len(self.clock.getDelayedCalls()), self.quiet + 1)
        self.close()
