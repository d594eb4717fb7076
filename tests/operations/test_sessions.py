"""``sandbox.operations.sessions``: contract section 8, on the in-memory runtime and store."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import attrs
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import (
    Conflict,
    ContainerNotFound,
    ContainerUnresponsive,
    EngineUnavailable,
    ImageUnknown,
    InvalidRequest,
    Overloaded,
    SandboxError,
    SessionExists,
    SessionNotFound,
    SessionsReadOnly,
    StoreUnavailable,
)
from sandbox.domain.events import (
    Event,
    SessionCreated,
    SessionRemoved,
    SessionRemoving,
    SessionStopped,
    SessionStopping,
)
from sandbox.domain.model import Container, ContainerState, Phase, Session, SessionRecord, SessionStatus
from sandbox.domain.principals import ROOT, Principal, PrincipalKind
from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.deletions import PendingDeletions
from sandbox.operations.sessions import Sessions
from sandbox.runtimes.memory.programs import MemoryAgents
from sandbox.runtimes.memory.runtime import MemoryRuntime
from sandbox.settings import parse
from sandbox.stores.interface import Work
from sandbox.stores.memory.store import MemoryStore
from tests.stores.aggregates import using

SETTINGS = parse({"INTERNAL_SERVICE_KEY": "x", "SESSION_IMAGE": "image:1", "SESSION_MEMORY_MB_MAX": "2048"})


class FailingStore(MemoryStore):
    """A store whose named methods fail, before or after they did their work.

    :ivar failing: names of transactions to ``"before"``, ``"after"`` or ``"refused"``, which is with :attr:`refusal`.
    """

    def __init__(self) -> None:
        super().__init__()
        self.failing: dict[str, str] = {}
        self.refusal: SandboxError = StoreUnavailable("away")
        self._held: dict[str, Deferred[None]] = {}

    def hold(self, name: str) -> Deferred[None]:
        """Have the next call of a method wait until what this answers fires."""
        held = self._held[name] = Deferred()
        return held

    def _played(self, name: str, work: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        held = self._held.pop(name, None)
        if held is not None:
            return held.addCallback(lambda _: self._played(name, work))
        when = self.failing.get(name)
        if when == "refused":
            return fail(self.refusal)
        if when == "before":
            return fail(StoreUnavailable("away"))
        done = work()
        return done.addCallback(lambda _: fail(StoreUnavailable("away"))) if when == "after" else done

    def transaction(self, name: str, work: Work[Any], *, erases: bool = False) -> Deferred[Any]:
        return self._played(name, lambda: super(FailingStore, self).transaction(name, work, erases=erases))

    def read(self, name: str, work: Work[Any]) -> Deferred[Any]:
        return self._played(name, lambda: super(FailingStore, self).read(name, work))


class SessionsTestCase(SynchronousTestCase):
    """Sessions on an engine and a store in memory."""

    def setUp(self) -> None:
        self.steps: list[Deferred[None]] = []
        self.held = False
        self.runtime = MemoryRuntime({"image:1": "", "image:2": ""}, MemoryAgents(reactor, {}), self.step)
        self.containers = self.runtime.containers
        self.store = FailingStore()
        self.successResultOf(self.store.open())
        self.published: list[Event] = []
        self.events = EventBus()
        for kind in get_args(Event):
            self.events.subscribe(kind, self.published.append)
        self.time = datetime(2026, 1, 25, 12, tzinfo=UTC)
        self.locks = KeyedLocks(3)
        self.deletions = PendingDeletions(limit=2)
        self.unfinished = 0
        self.sessions = Sessions(
            self.runtime,
            self.store,
            SETTINGS,
            locks=self.locks,
            events=self.events,
            deletions=self.deletions,
            unfinished=self.left_unfinished,
            now=self.now,
        )

    def left_unfinished(self) -> None:
        """Something is left for reconciliation."""
        self.unfinished += 1

    def step(self) -> Deferred[None]:
        """What a creation waits for before it starts the container."""
        if not self.held:
            return succeed(None)
        self.steps.append(Deferred())
        return self.steps[-1]

    def news(self) -> list[Event]:
        """What was published since the last look."""
        news, self.published[:] = list(self.published), []
        return news

    def now(self) -> datetime:
        """A clock that moves."""
        self.time += timedelta(seconds=1)
        return self.time

    def create(self, session_id: str | None = None, user_id: str = "u1", **more: Any) -> Session:
        """A session, created."""
        session: Session = self.successResultOf(
            self.sessions.create(ROOT, user_id=user_id, session_id=session_id, **more)
        )
        return session

    def row(self, session_id: str) -> SessionRecord | None:
        """What the store has."""
        self.store.failing.pop("get", None)
        row: SessionRecord | None = self.successResultOf(using(self.store).get(session_id))
        return row

    def assert_nothing_left(self, session_id: str) -> None:
        """Neither row, container nor workspace."""
        self.assertIsNone(self.row(session_id))
        self.assertEqual([one for one in self.containers.every() if one.session_id == session_id], [])
        self.assertNotIn(session_id, self.containers.workspaces())


class CreateTests(SessionsTestCase):
    """``POST /sessions``."""

    def test_a_created_session_runs(self) -> None:
        session = self.create("s", image="image:2")
        self.assertEqual(
            (session.id, session.user_id, session.status, session.image),
            ("s", "u1", SessionStatus.RUNNING, "image:2"),
        )
        container = self.containers.find("s")
        self.assertEqual(session.container_id, container.id)
        row = self.row("s")
        assert row is not None
        self.assertEqual((row.phase, row.container_id), (Phase.READY, container.id))
        self.assertEqual((session.created_at, session.updated_at), (row.created_at, row.updated_at))
        self.assertGreater(session.updated_at, session.created_at)

    def test_without_an_id_one_is_made(self) -> None:
        ids = {self.create().id for _ in range(3)}
        self.assertEqual(len(ids), 3)
        for session_id in ids:
            self.assertRegex(session_id, r"\A[0-9a-f]{16}\Z")

    def test_without_an_image_the_configured_one_is_taken(self) -> None:
        self.assertEqual(self.create().image, "image:1")

    def test_a_taken_id_is_a_conflict_and_its_session_untouched(self) -> None:
        session = self.create("s")
        self.failureResultOf(self.sessions.create(ROOT, user_id="u2", session_id="s"), SessionExists)
        self.assertEqual(self.successResultOf(self.sessions.get(ROOT, "s")), session)

    def test_a_refusal_of_the_stores_is_the_end_of_it(self) -> None:
        self.store.refusal = SessionsReadOnly()
        self.store.failing = {"add": "refused", "get": "before", "remove": "before"}
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), SessionsReadOnly)
        self.assertEqual(list(self.containers.every()), [])

    def test_wrong_fields_are_named_and_nothing_is_made(self) -> None:
        for field, more in (
            ("id", {"session_id": "a/b"}),
            ("memoryMb", {"memory_mb": 2049}),
            ("cpus", {"cpus": 5}),
        ):
            error = self.failureResultOf(self.sessions.create(ROOT, user_id="u", **more), InvalidRequest).value
            self.assertIn(f"'{field}'", error.message)
        self.assertEqual(self.successResultOf(using(self.store).page(None, None, 9)), [])

    def test_an_unknown_image_leaves_nothing(self) -> None:
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s", image="no:1"), ImageUnknown)
        self.assert_nothing_left("s")

    def test_f47_a_creation_with_an_engine_that_does_not_answer_waits_for_it_once(self) -> None:
        removed: list[str] = []
        self.patch(self.runtime, "remove", removed.append)
        self.containers.leave()
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), EngineUnavailable)
        self.assertEqual((removed, self.unfinished, self.row("s")), ([], 1, None))

    def test_f34_a_container_that_the_engine_cannot_describe_has_the_state_that_its_list_tells(self) -> None:
        self.create("s")
        self.create("t")
        self.patch(self.containers, "cached", lambda session_id: None)
        find = self.containers.find

        def unresponsive(session_id: str) -> Container:
            if session_id == "s":
                raise ContainerUnresponsive("c")
            return find(session_id)

        self.patch(self.containers, "find", unresponsive)
        self.assertIs(self.successResultOf(self.sessions.get(ROOT, "s")).status, SessionStatus.RUNNING)
        page, _ = self.successResultOf(self.sessions.list(ROOT))
        self.assertEqual([session.id for session in page], ["t", "s"])
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assert_nothing_left("s")

    def test_an_engine_that_is_away_leaves_the_id_free(self) -> None:
        self.containers.leave()
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), EngineUnavailable)
        self.assertIsNone(self.row("s"))
        self.containers.come_back()
        self.create("s")

    def test_an_engine_that_goes_away_half_way_leaves_the_id_free(self) -> None:
        self.held = True
        creation = self.sessions.create(ROOT, user_id="u", session_id="s")
        self.containers.leave()
        self.steps[0].errback(EngineUnavailable("gone"))
        self.failureResultOf(creation, EngineUnavailable)
        self.assertIsNone(self.row("s"))
        self.containers.come_back()
        self.assertIn("s", self.containers.workspaces(), "what is left is for reconciliation to find")
        self.held = False
        self.create("s")
        self.assertEqual(len(self.containers.every()), 1)

    def test_a_client_that_hangs_up_leaves_nothing(self) -> None:
        self.held = True
        creation = self.sessions.create(ROOT, user_id="u", session_id="s")
        self.assertEqual(self.successResultOf(self.sessions.get(ROOT, "s")).status, SessionStatus.CREATING)
        creation.cancel()
        self.failureResultOf(creation, CancelledError)
        self.assert_nothing_left("s")

    def test_of_two_at_once_one_succeeds(self) -> None:
        self.held = True
        creations = [self.sessions.create(ROOT, user_id=user, session_id="s") for user in ("u1", "u2")]
        self.steps[0].callback(None)
        self.assertEqual(self.successResultOf(creations[0]).user_id, "u1")
        self.failureResultOf(creations[1], SessionExists)

    def test_of_two_at_once_the_second_succeeds_when_the_first_fails(self) -> None:
        self.held = True
        creations = [self.sessions.create(ROOT, user_id=user, session_id="s") for user in ("u1", "u2")]
        self.steps[0].errback(EngineUnavailable("gone"))
        self.failureResultOf(creations[0], EngineUnavailable)
        self.steps[1].callback(None)
        self.assertEqual(self.successResultOf(creations[1]).user_id, "u2")

    def test_a_store_that_fails_leaves_nothing(self) -> None:
        for name, when in (("add", "before"), ("add", "after"), ("replace", "before"), ("replace", "after")):
            self.store.failing = {name: when}
            self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), StoreUnavailable)
            self.store.failing = {}
            self.assert_nothing_left("s")

    def test_a_store_that_stays_away_leaves_a_row_to_finish_and_no_container(self) -> None:
        self.store.failing = {"replace": "before", "remove": "before"}
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), StoreUnavailable)
        row = self.row("s")
        assert row is not None
        self.assertIs(row.phase, Phase.CREATING)
        self.assertEqual(list(self.containers.every()), [])

    def test_somebody_elses_row_survives_a_creation_that_could_not_tell(self) -> None:
        session = self.create("s")
        self.store.failing = {"add": "before"}
        self.failureResultOf(self.sessions.create(ROOT, user_id="u1", session_id="s"), StoreUnavailable)
        self.store.failing = {}
        self.assertEqual(self.successResultOf(self.sessions.get(ROOT, "s")), session)

    def test_what_an_earlier_life_left_is_replaced(self) -> None:
        left = self.containers.add("s", managed=True, state=ContainerState.EXITED)
        session = self.create("s")
        self.assertNotEqual(session.container_id, left.id)
        self.assertEqual([one.id for one in self.containers.every()], [session.container_id])

    def test_another_programs_container_is_respected(self) -> None:
        foreign = self.containers.add("s")
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), SessionExists)
        self.assertEqual(list(self.containers.every()), [foreign])
        self.assertIsNone(self.row("s"))

    def test_too_many_that_wait_for_one_session_are_refused(self) -> None:
        self.held = True
        self.sessions.create(ROOT, user_id="u", session_id="s")
        waiting = [self.sessions.delete(ROOT, "s") for _ in range(3)]
        self.failureResultOf(self.sessions.delete(ROOT, "s"), Overloaded)
        self.steps[0].callback(None)
        for one in waiting:
            self.successResultOf(one)


class ReadTests(SessionsTestCase):
    """``GET /sessions/:id``."""

    def test_no_such_session(self) -> None:
        error = self.failureResultOf(self.sessions.get(ROOT, "s"), SessionNotFound).value
        self.assertEqual(error.message, "Session s not found")

    def test_what_is_no_id_is_refused(self) -> None:
        self.failureResultOf(self.sessions.get(ROOT, "a/b"), InvalidRequest)

    def test_the_status_is_what_the_engine_says_now(self) -> None:
        session = self.create("s")
        assert session.container_id is not None

        def status() -> SessionStatus:
            return self.successResultOf(self.sessions.get(ROOT, "s")).status

        self.assertIs(status(), SessionStatus.RUNNING)
        self.containers.pause(session.container_id)
        self.assertIs(status(), SessionStatus.STOPPED)
        self.containers.start(session.container_id)
        self.assertIs(status(), SessionStatus.RUNNING)
        self.containers.die(session.container_id)
        self.assertIs(status(), SessionStatus.STOPPED)
        self.containers.vanish(session.container_id)
        self.assertIs(status(), SessionStatus.FAILED)
        self.containers.leave()
        self.failureResultOf(self.sessions.get(ROOT, "s"), EngineUnavailable)

    def test_one_that_is_being_deleted_is_not_found(self) -> None:
        self.create("s")
        self.containers.leave()
        self.failureResultOf(self.sessions.delete(ROOT, "s"), EngineUnavailable)
        self.containers.come_back()
        self.failureResultOf(self.sessions.get(ROOT, "s"), SessionNotFound)
        self.failureResultOf(self.sessions.start(ROOT, "s"), SessionNotFound)
        self.assertEqual(self.successResultOf(self.sessions.list(ROOT))[0], [])
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), SessionExists)


class ListTests(SessionsTestCase):
    """``GET /sessions``."""

    def pages(self, **query: object) -> list[list[str]]:
        """The ids of all pages."""
        found = []
        cursor: str | None = None
        for _ in range(100):
            sessions, cursor = self.successResultOf(self.sessions.list(ROOT, **query, cursor=cursor))
            found.append([session.id for session in sessions])
            if cursor is None:
                return found
        raise AssertionError("the pages do not end")

    def test_none(self) -> None:
        self.assertEqual(self.successResultOf(self.sessions.list(ROOT)), ([], None))

    def test_newest_first(self) -> None:
        for session_id in "abc":
            self.create(session_id)
        self.assertEqual(self.pages(), [["c", "b", "a"]])

    def test_pages(self) -> None:
        for session_id in "abcde":
            self.create(session_id)
        self.assertEqual(self.pages(limit=2), [["e", "d"], ["c", "b"], ["a"]])
        self.assertEqual(self.pages(limit=5), [["e", "d", "c", "b", "a"]], "no empty page at the end")

    def test_by_user(self) -> None:
        self.create("a", "u1")
        self.create("b", "u2")
        self.create("c", "u1")
        self.assertEqual(self.pages(user_id="u1"), [["c", "a"]])
        self.assertEqual(self.pages(user_id="nobody"), [[]])

    def test_by_status(self) -> None:
        for session_id in "abcdef":
            self.create(session_id)
        for session_id in "ace":
            self.successResultOf(self.sessions.stop(ROOT, session_id))
        self.containers.vanish(self.containers.find("b").id)
        self.assertEqual(self.pages(status=SessionStatus.STOPPED, limit=2), [["e", "c"], ["a"]])
        self.assertEqual(self.pages(status=SessionStatus.RUNNING), [["f", "d"]])
        self.assertEqual(self.pages(status=SessionStatus.FAILED), [["b"]])
        self.assertEqual(self.pages(status=SessionStatus.CREATING), [[]])

    def test_pages_are_stable_under_what_comes_and_goes(self) -> None:
        for session_id in "abcdef":
            self.create(session_id)
        first, cursor = self.successResultOf(self.sessions.list(ROOT, limit=2))
        self.create("new")
        self.successResultOf(self.sessions.delete(ROOT, "e"))
        self.successResultOf(self.sessions.delete(ROOT, "d"))
        second, cursor = self.successResultOf(self.sessions.list(ROOT, limit=2, cursor=cursor))
        third, cursor = self.successResultOf(self.sessions.list(ROOT, limit=2, cursor=cursor))
        ids = [session.id for page in (first, second, third) for session in page]
        self.assertEqual((ids, cursor), (["f", "e", "c", "b", "a"], None))

    def test_a_status_that_is_rare_ends_pages_early_and_is_found_in_the_end(self) -> None:
        last = self.create("rare")
        assert last.container_id is not None
        self.containers.die(last.container_id)
        for number in range(1200):
            self.create(f"s{number}")
        pages = self.pages(status=SessionStatus.STOPPED, limit=50)
        self.assertEqual([one for page in pages for one in page], ["rare"])
        self.assertEqual(len(pages), 2)

    def test_a_wrong_cursor_is_named(self) -> None:
        error = self.failureResultOf(self.sessions.list(ROOT, cursor="wrong!"), InvalidRequest).value
        self.assertIn("'cursor'", error.message)


class ChangeTests(SessionsTestCase):
    """``POST …/start``, ``POST …/stop`` and ``DELETE``."""

    def test_stop_and_start_are_idempotent(self) -> None:
        created = self.create("s")
        for change, status in (("stop", SessionStatus.STOPPED), ("start", SessionStatus.RUNNING)):
            first = self.successResultOf(getattr(self.sessions, change)(ROOT, "s"))
            again = self.successResultOf(getattr(self.sessions, change)(ROOT, "s"))
            self.assertIs(first.status, status)
            self.assertEqual(again, first, "nothing happened, so it was not updated")
            self.assertGreater(first.updated_at, created.updated_at)
            self.assertEqual(first, self.successResultOf(self.sessions.get(ROOT, "s")))
            created = first

    def test_each_step_of_its_life_is_published(self) -> None:
        self.create("s")
        self.assertEqual(self.news(), [SessionCreated("s", "u1", by=ROOT)])
        self.successResultOf(self.sessions.start(ROOT, "s"))
        self.assertEqual(self.news(), [])
        self.successResultOf(self.sessions.stop(ROOT, "s"))
        self.assertEqual(self.news(), [SessionStopping("s", by=ROOT), SessionStopped("s", by=ROOT)])
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assertEqual(self.news(), [SessionRemoving("s", by=ROOT), SessionRemoved("s", by=ROOT)])

    def test_issue_15_events_name_whose_call_it_was(self) -> None:
        """Each event names the principal of the call that it comes of."""
        alice, key = Principal(PrincipalKind.USER, "alice", "alice"), Principal(PrincipalKind.KEY, "k1")
        self.successResultOf(self.sessions.create(alice, user_id="alice", session_id="s"))
        self.successResultOf(self.sessions.stop(key, "s"))
        self.successResultOf(self.sessions.delete(alice, "s"))
        self.assertEqual(
            [(type(event), event.by) for event in self.news()],
            [
                (SessionCreated, alice),
                (SessionStopping, key),
                (SessionStopped, key),
                (SessionRemoving, alice),
                (SessionRemoved, alice),
            ],
        )

    def test_of_a_session_that_is_none(self) -> None:
        for change in (self.sessions.start, self.sessions.stop):
            self.failureResultOf(change(ROOT, "s"), SessionNotFound)
            self.failureResultOf(change(ROOT, "a/b"), InvalidRequest)

    def test_of_a_session_whose_container_is_gone(self) -> None:
        self.create("s")
        self.containers.vanish(self.containers.find("s").id)
        for change in (self.sessions.start, self.sessions.stop):
            self.failureResultOf(change(ROOT, "s"), ContainerNotFound)

    def test_of_a_session_whose_creation_was_cut_off(self) -> None:
        self.create("s")
        row = self.row("s")
        assert row is not None
        self.successResultOf(using(self.store).replace(attrs.evolve(row, phase=Phase.CREATING)))
        for change in (self.sessions.start, self.sessions.stop):
            self.failureResultOf(change(ROOT, "s"), Conflict)

    def test_delete_leaves_nothing_and_is_idempotent(self) -> None:
        self.create("s")
        for _ in range(2):
            self.assertIsNone(self.successResultOf(self.sessions.delete(ROOT, "s")))
            self.assert_nothing_left("s")
        self.failureResultOf(self.sessions.delete(ROOT, "a/b"), InvalidRequest)

    def test_f35_delete_removes_container_and_workspace_even_when_the_row_cannot_be_written(self) -> None:
        self.create("s")
        self.store.failing = {"replace": "before", "remove": "before"}
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assertEqual((list(self.containers.every()), self.containers.workspaces(), self.unfinished), ([], [], 1))
        self.failureResultOf(self.sessions.get(ROOT, "s"), SessionNotFound)
        self.failureResultOf(self.sessions.start(ROOT, "s"), SessionNotFound)
        self.assertEqual(self.successResultOf(self.sessions.list(ROOT)), ([], None))
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.failureResultOf(self.sessions.create(ROOT, user_id="u", session_id="s"), StoreUnavailable)
        self.store.failing = {}
        self.create("s", user_id="u2")

    def test_f35_a_row_that_can_be_written_in_the_end_is_the_end_of_it(self) -> None:
        self.create("s")
        self.store.failing = {"replace": "before"}
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assert_nothing_left("s")
        self.assertEqual((self.unfinished, bool(self.deletions)), (0, False))

    def test_f35_a_deletion_that_only_began_to_be_written_is_finished_later(self) -> None:
        self.create("s")
        self.store.failing = {"remove": "before"}
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        row = self.row("s")
        assert row is not None
        self.assertEqual((row.phase, self.unfinished, bool(self.deletions)), (Phase.DELETING, 1, False))

    def test_f35_no_more_deletions_are_remembered_than_is_sensible(self) -> None:
        for name in "abc":
            self.create(name)
        self.store.failing = {"replace": "before", "remove": "before"}
        for name in "ab":
            self.successResultOf(self.sessions.delete(ROOT, name))
        self.failureResultOf(self.sessions.delete(ROOT, "c"), StoreUnavailable)
        self.assertEqual([one.session_id for one in self.containers.every()], ["c"])

    def test_delete_removes_what_no_row_owns(self) -> None:
        self.containers.add("s", managed=True)
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assert_nothing_left("s")

    def test_delete_leaves_another_programs_container(self) -> None:
        foreign = self.containers.add("s")
        self.successResultOf(self.sessions.delete(ROOT, "s"))
        self.assertEqual(list(self.containers.every()), [foreign])

    def test_a_deletion_goes_on_without_its_client(self) -> None:
        self.create("s")
        removal: Deferred[None] = Deferred()
        remove, self.runtime.remove = self.runtime.remove, lambda session_id: removal  # type: ignore[method-assign]
        deletion = self.sessions.delete(ROOT, "s")
        deletion.cancel()
        self.assertNoResult(deletion)
        self.successResultOf(remove("s"))
        removal.callback(None)
        self.failureResultOf(deletion, CancelledError)
        self.assert_nothing_left("s")

    def test_changes_of_one_session_take_turns(self) -> None:
        self.held = True
        creation = self.sessions.create(ROOT, user_id="u", session_id="s")
        stop, start, delete = (
            self.sessions.stop(ROOT, "s"),
            self.sessions.start(ROOT, "s"),
            self.sessions.delete(ROOT, "s"),
        )
        self.steps[0].callback(None)
        self.assertIs(self.successResultOf(creation).status, SessionStatus.RUNNING)
        self.assertIs(self.successResultOf(stop).status, SessionStatus.STOPPED)
        self.assertIs(self.successResultOf(start).status, SessionStatus.RUNNING)
        self.successResultOf(delete)
        self.assert_nothing_left("s")
        self.successResultOf(self.locks.idle())
