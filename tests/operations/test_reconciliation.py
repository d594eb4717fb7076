"""``sandbox.operations.reconciliation``: store and engine agree again."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, globalLogPublisher

from sandbox.domain.errors import EngineUnavailable, PreviewNotRegistered
from sandbox.domain.events import SessionRemoved
from sandbox.domain.model import ContainerState, Phase, Preview, SessionRecord, SessionStatus
from sandbox.domain.principals import ROOT
from sandbox.operations.reconciliation import Reconciliation
from sandbox.policy.sessions import Action
from sandbox.routing.previews import Previews
from sandbox.service.subscriptions import subscribe_registry
from tests.operations.test_sessions import SessionsTestCase
from tests.stores.aggregates import using

LATER = datetime(2026, 2, 1, tzinfo=UTC)


class ReconciliationTests(SessionsTestCase):
    """Each row of the table in docs/sessions.md, and what happens meanwhile."""

    def setUp(self) -> None:
        super().setUp()
        self.reconciliation = Reconciliation(
            self.runtime,
            self.store,
            self.locks,
            events=self.events,
            deletions=self.deletions,
            now=lambda: LATER,
        )
        self.logged: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.logged.append)

    def run_once(self) -> dict[str, Action]:
        """Reconcile; what was done."""
        decisions = self.successResultOf(self.reconciliation.run())
        return {decision.session_id: decision.action for decision in decisions}

    def add_row(self, session_id: str, phase: Phase) -> None:
        """A row that a daemon which was killed left."""
        now = self.now()
        record = SessionRecord(id=session_id, user_id="u", image="image:1", phase=phase, created_at=now, updated_at=now)
        self.successResultOf(using(self.store).add(record))

    def test_where_all_agree_nothing_is_done(self) -> None:
        self.create("a")
        self.create("b")
        self.successResultOf(self.sessions.stop(ROOT, "b"))
        rows = [self.row("a"), self.row("b")]
        self.assertEqual(self.run_once(), {})
        self.assertEqual([self.row("a"), self.row("b")], rows)

    def test_what_nobody_owns_is_removed(self) -> None:
        self.containers.add("c", managed=True)
        self.create("v")
        self.successResultOf(using(self.store).remove("v"))
        self.containers.vanish(self.containers.find("v").id)
        self.assertEqual(self.run_once(), {"c": Action.REMOVE, "v": Action.REMOVE})
        removed = sorted(event.session_id for event in self.published if isinstance(event, SessionRemoved))
        self.assertEqual(removed, ["c", "v"], "nobody goes on to believe that they are there")
        self.assert_nothing_left("c")
        self.assert_nothing_left("v")
        self.assertEqual(self.run_once(), {})

    def test_another_programs_containers_stay(self) -> None:
        foreign = self.containers.add("s")
        self.assertEqual(self.run_once(), {})
        self.assertEqual(list(self.containers.every()), [foreign])

    def test_unfinished_creations_and_deletions_are_finished(self) -> None:
        for session_id, phase in (("creating", Phase.CREATING), ("deleting", Phase.DELETING)):
            self.add_row(session_id, phase)
            self.containers.add(session_id, managed=True, state=ContainerState.RUNNING)
            self.add_row(f"{session_id}-2", phase)
        done = self.run_once()
        self.assertEqual(done, dict.fromkeys(("creating", "creating-2", "deleting", "deleting-2"), Action.REMOVE))
        for session_id in done:
            self.assert_nothing_left(session_id)

    def test_what_is_gone_is_marked_and_what_is_back_adopted(self) -> None:
        self.create("s")
        self.containers.vanish(self.containers.find("s").id)
        self.assertEqual(self.run_once(), {"s": Action.MARK_FAILED})
        row = self.row("s")
        assert row is not None
        self.assertEqual((row.phase, row.updated_at), (Phase.FAILED, LATER))
        self.assertIs(self.successResultOf(self.sessions.get(ROOT, "s")).status, SessionStatus.FAILED)
        self.assertEqual(self.run_once(), {})
        again = self.containers.add("s")
        self.assertEqual(self.run_once(), {"s": Action.ADOPT})
        row = self.row("s")
        assert row is not None
        self.assertEqual((row.phase, row.container_id), (Phase.READY, again.id))
        self.assertEqual(self.run_once(), {})

    def test_each_decision_is_logged_with_its_reason(self) -> None:
        self.containers.add("s", managed=True)
        self.run_once()
        (event,) = [event for event in self.logged if "reason" in event]
        self.assertEqual((event["session"], event["action"]), ("s", "remove"))
        self.assertEqual((event["reason"], event["log_level"]), ("no session owns it", LogLevel.info))

    def test_a_creation_that_is_going_on_is_left_to_its_end(self) -> None:
        self.held = True
        creation = self.sessions.create(ROOT, user_id="u", session_id="s")
        running = self.reconciliation.run()
        self.assertNoResult(running)
        self.steps[0].callback(None)
        self.successResultOf(creation)
        self.assertEqual(self.successResultOf(running), [])
        self.assertIs(self.successResultOf(self.sessions.get(ROOT, "s")).status, SessionStatus.RUNNING)

    def test_f1_the_registration_of_a_session_that_is_removed_goes(self) -> None:
        previews = Previews(self.runtime, limit=10)
        subscribe_registry(self.events, previews)
        self.create("s")
        previews.add(Preview(session_id="s", port=3000), ROOT)
        self.successResultOf(using(self.store).remove("s"))
        self.assertEqual(self.run_once(), {"s": Action.REMOVE})
        self.assertRaises(PreviewNotRegistered, previews.preview, "s")

    def test_what_changed_since_the_gathering_is_decided_again(self) -> None:
        # The containers were listed before this session had one, the rows after it had been written.
        self.create("s")
        self.runtime.list = lambda: Deferred.fromCoroutine(self.nothing())  # type: ignore[method-assign]
        self.assertEqual(self.run_once(), {})
        row = self.row("s")
        assert row is not None
        self.assertIs(row.phase, Phase.READY)

    async def nothing(self) -> list[Any]:
        """No containers."""
        return []

    def test_one_that_fails_does_not_keep_the_others(self) -> None:
        for session_id in "abc":
            self.containers.add(session_id, managed=True)
        remove = self.runtime.remove

        def failing(session_id: str) -> Deferred[None]:
            if session_id != "b":
                return remove(session_id)
            failed: Deferred[None] = Deferred()
            failed.errback(EngineUnavailable("gone"))
            return failed

        self.runtime.remove = failing  # type: ignore[method-assign]
        self.assertEqual(self.run_once(), {"a": Action.REMOVE, "c": Action.REMOVE})
        self.runtime.remove = remove  # type: ignore[method-assign]
        self.assertEqual(self.run_once(), {"b": Action.REMOVE})

    def test_more_rows_than_a_page(self) -> None:
        for number in range(1203):
            self.add_row(f"s{number}", Phase.FAILED)
        self.assertEqual(self.run_once(), {})
        self.containers.add("orphan", managed=True)
        self.assertEqual(self.run_once(), {"orphan": Action.REMOVE})

    def test_a_platforms_database_is_left_alone(self) -> None:
        self.containers.add("s", managed=True)
        self.store.read_only = True
        self.assertEqual(self.run_once(), {})
        self.assertEqual(len(self.containers.every()), 1)

    def test_the_row_that_is_written_keeps_what_it_does_not_change(self) -> None:
        self.create("s")
        before = self.row("s")
        assert before is not None
        self.containers.vanish(self.containers.find("s").id)
        self.run_once()
        self.assertEqual(self.row("s"), attrs.evolve(before, phase=Phase.FAILED, updated_at=LATER))
        self.assertLess(before.updated_at, LATER - timedelta(days=1))
