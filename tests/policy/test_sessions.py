"""``sandbox.policy.sessions``: ids, limits, status, and what reconciliation decides."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import InvalidRequest
from sandbox.domain.model import Container, ContainerSpec, ContainerState, Phase, SessionRecord, SessionStatus
from sandbox.policy.containers import choose
from sandbox.policy.sessions import Action, Decision, checked_id, checked_limits, decide, plan, session_of, status_of
from sandbox.settings import parse

NOW = datetime(2026, 1, 25, 12, tzinfo=UTC)
SETTINGS = parse({"INTERNAL_SERVICE_KEY": "x", "SESSION_MEMORY_MB_MAX": "2048", "SESSION_CPUS_MAX": "2"})


def row(session_id: str = "s", phase: Phase = Phase.READY, container_id: str | None = "c1") -> SessionRecord:
    """A stored session."""
    return SessionRecord(
        id=session_id,
        user_id="u",
        image="i",
        phase=phase,
        created_at=NOW,
        updated_at=NOW,
        container_id=container_id,
    )


def container(
    container_id: str = "c1",
    *,
    session_id: str = "s",
    state: ContainerState = ContainerState.RUNNING,
    managed: bool = True,
    created_at: str = "",
) -> Container:
    """A container on the engine."""
    return Container(
        id=container_id, session_id=session_id, state=state, image="i", managed=managed, created_at=created_at
    )


class IdTests(SynchronousTestCase):
    """Contract section 1: ``[A-Za-z0-9_-]{1,64}``."""

    def test_ids(self) -> None:
        for text in ("a", "-", "_", "A-z_0", "x" * 64):
            self.assertEqual(checked_id(text), text)

    def test_everything_else_is_refused_and_the_field_named(self) -> None:
        for text in ("", "x" * 65, "a b", "a/b", "a.b", "a\n", "é", "a\0", "\u0661"):
            with self.assertRaisesRegex(InvalidRequest, "'id'"):
                checked_id(text)


class LimitTests(SynchronousTestCase):
    """Per-session values stay within the configured maxima."""

    def test_within(self) -> None:
        for memory, cpus in ((None, None), (16, 0.01), (2048, 2), (2048, 2.0)):
            spec = ContainerSpec(session_id="s", image="i", memory_mb=memory, cpus=cpus)
            self.assertIs(checked_limits(spec, SETTINGS), spec)

    def test_memory_outside_names_the_field_and_its_limits(self) -> None:
        for memory in (0, -1, 15, 2049, 10**30):
            with self.assertRaisesRegex(InvalidRequest, "'memoryMb' must be an integer from 16 to 2048"):
                checked_limits(ContainerSpec(session_id="s", image="i", memory_mb=memory), SETTINGS)

    def test_cpus_outside_names_the_field_and_its_limits(self) -> None:
        for cpus in (0, -1, 0.009, 2.01, float("nan"), float("inf")):
            with self.assertRaisesRegex(InvalidRequest, "'cpus' must be a number from 0.01 to 2"):
                checked_limits(ContainerSpec(session_id="s", image="i", cpus=cpus), SETTINGS)


class StatusTests(SynchronousTestCase):
    """Contract section 8: the status is what the engine says."""

    def test_every_state(self) -> None:
        expected = {
            ContainerState.RUNNING: SessionStatus.RUNNING,
            ContainerState.CREATED: SessionStatus.STOPPED,
            ContainerState.EXITED: SessionStatus.STOPPED,
            ContainerState.PAUSED: SessionStatus.STOPPED,
            ContainerState.RESTARTING: SessionStatus.STOPPED,
            ContainerState.DEAD: SessionStatus.FAILED,
            ContainerState.REMOVING: SessionStatus.FAILED,
        }
        self.assertEqual(set(expected), set(ContainerState))
        for phase in (Phase.READY, Phase.FAILED):
            for state, status in expected.items():
                self.assertIs(status_of(row(phase=phase), container(state=state)), status)

    def test_without_a_container_it_failed(self) -> None:
        self.assertIs(status_of(row(), None), SessionStatus.FAILED)

    def test_until_its_creation_is_complete_it_is_creating(self) -> None:
        for found in (None, container()):
            self.assertIs(status_of(row(phase=Phase.CREATING), found), SessionStatus.CREATING)

    def test_the_session_names_the_container_that_is_there(self) -> None:
        self.assertEqual(session_of(row(container_id="old"), container("new")).container_id, "new")
        self.assertEqual(session_of(row(container_id="old"), None).container_id, "old")


class DecideTests(SynchronousTestCase):
    """The table in docs/sessions.md, row by row."""

    def check(
        self, action: Action | None, record: SessionRecord | None, found: Container | None, leftover: bool
    ) -> None:
        """The decision's action is this one; none means that all is well."""
        decision = decide("s", record, found, leftover)
        self.assertIs(decision and decision.action, action)

    def test_what_nobody_owns_is_removed(self) -> None:
        self.check(Action.REMOVE, None, container(), True)
        self.check(Action.REMOVE, None, None, True)

    def test_what_another_program_made_is_left_alone(self) -> None:
        self.check(None, None, container(managed=False), False)

    def test_unfinished_creations_and_deletions_are_undone(self) -> None:
        for phase in (Phase.CREATING, Phase.DELETING):
            for found in (None, container()):
                for leftover in (False, True):
                    self.check(Action.REMOVE, row(phase=phase), found, leftover)

    def test_a_session_whose_container_is_gone_is_marked(self) -> None:
        self.check(Action.MARK_FAILED, row(), None, True)
        self.check(Action.MARK_FAILED, row(), None, False)
        self.check(None, row(phase=Phase.FAILED), None, True)

    def test_a_container_that_is_there_again_is_adopted(self) -> None:
        self.check(Action.ADOPT, row(phase=Phase.FAILED), container(), True)

    def test_another_container_is_adopted(self) -> None:
        self.check(Action.ADOPT, row(container_id="old"), container("new"), True)
        self.check(Action.ADOPT, row(container_id=None), container("new", managed=False), False)

    def test_nothing_is_done_where_all_agree_whatever_the_container_does(self) -> None:
        for state in ContainerState:
            self.check(None, row(), container(state=state), True)


class PlanTests(SynchronousTestCase):
    """All sessions at once."""

    def test_rows_containers_and_workspaces_are_all_looked_at(self) -> None:
        records = {"gone": row("gone"), "fine": row("fine"), "half": row("half", Phase.CREATING)}
        containers = [
            container("c1", session_id="fine"),
            container("c2", session_id="orphan"),
            container("c3", session_id="foreign", managed=False),
        ]
        actions = {one.session_id: one.action for one in plan(records, containers, ["volume", "gone", "fine"])}
        self.assertEqual(
            actions,
            {
                "gone": Action.MARK_FAILED,
                "half": Action.REMOVE,
                "orphan": Action.REMOVE,
                "volume": Action.REMOVE,
            },
        )

    def test_nothing_known_nothing_done(self) -> None:
        self.assertEqual(plan({}, [], []), [])

    @given(
        st.dictionaries(st.sampled_from("abcd"), st.sampled_from(Phase)),
        st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from(ContainerState), st.booleans()), max_size=6),
        st.sets(st.sampled_from("abcd")),
    )
    def test_carrying_out_a_plan_leaves_nothing_to_do(
        self, phases: dict[str, Phase], made: list[tuple[str, ContainerState, bool]], workspaces: set[str]
    ) -> None:
        records = {session_id: row(session_id, phase) for session_id, phase in phases.items()}
        containers = [
            container(f"c{number}", session_id=session_id, state=state, managed=managed)
            for number, (session_id, state, managed) in enumerate(made)
        ]
        decisions = plan(records, containers, workspaces)
        self.assertEqual(len({one.session_id for one in decisions}), len(decisions), "one decision a session")
        for decision in decisions:
            session_id = decision.session_id
            if decision.action is Action.REMOVE:
                records.pop(session_id, None)
                containers = [one for one in containers if one.session_id != session_id or not one.managed]
                workspaces.discard(session_id)
            else:
                found = choose(one for one in containers if one.session_id == session_id)
                phase = Phase.FAILED if found is None else Phase.READY
                held = found.id if found is not None else None
                records[session_id] = attrs.evolve(records[session_id], phase=phase, container_id=held)
        self.assertEqual(plan(records, containers, workspaces), [])
        for one in containers:
            self.assertTrue(not one.managed or one.session_id in records, "a managed container has an owner")
        self.assertLessEqual(workspaces, set(records))

    @given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans()), max_size=4), st.sets(st.sampled_from("ab")))
    def test_only_what_is_ours_is_ever_removed(self, made: list[tuple[str, bool]], workspaces: set[str]) -> None:
        containers = [container(f"c{n}", session_id=s, managed=managed) for n, (s, managed) in enumerate(made)]
        ours = {one.session_id for one in containers if one.managed} | workspaces
        self.assertEqual({one.session_id for one in plan({}, containers, workspaces)}, ours)


class ChooseTests(SynchronousTestCase):
    """Of several containers with one label: the newest that runs, else the newest."""

    def test_none_of_none(self) -> None:
        self.assertIsNone(choose([]))

    def test_a_running_one_beats_a_newer_one_that_does_not_run(self) -> None:
        old = container("a", created_at="2026-01-01")
        new = container("b", created_at="2026-01-02", state=ContainerState.PAUSED)
        self.assertEqual(choose([old, new]), old)

    def test_the_newest_of_those_that_run(self) -> None:
        old, new = container("b", created_at="2026-01-01"), container("a", created_at="2026-01-02")
        self.assertEqual(choose([old, new]), new)
        self.assertEqual(choose([new, old]), new)

    def test_the_newest_when_none_runs(self) -> None:
        old = container("b", created_at="2026-01-01", state=ContainerState.EXITED)
        new = container("a", created_at="2026-01-02", state=ContainerState.CREATED)
        self.assertEqual(choose([new, old]), new)


class DecisionTests(SynchronousTestCase):
    """Decisions are compared when they are made again."""

    def test_equal_by_value(self) -> None:
        self.assertEqual(Decision("s", Action.REMOVE, "why"), Decision("s", Action.REMOVE, "why"))
        self.assertNotEqual(Decision("s", Action.REMOVE, "why"), Decision("s", Action.ADOPT, "why"))
