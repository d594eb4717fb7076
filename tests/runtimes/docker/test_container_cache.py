"""``sandbox.runtimes.docker.container_cache``: never a container that is not as it is shown."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.model import Container, ContainerState
from sandbox.runtimes.docker.container_cache import ContainerCache, Event, event_from
from sandbox.runtimes.docker.inspection import INSTANCE_LABEL, SessionLabels

LABEL = "sandbox.session.id"
LABELS = SessionLabels(LABEL, "0123456789ab")


def container(container_id: str = "c", life: int = 1, state: ContainerState = ContainerState.RUNNING) -> Container:
    """What an inspection finds."""
    running = state is ContainerState.RUNNING
    return Container(
        id=container_id,
        session_id="s",
        state=state,
        image="i",
        address="198.18.0.1" if running else None,
        started_at=str(life),
    )


def event(action: str, container_id: str = "c", session_id: str | None = "s") -> Event:
    """What the stream tells."""
    return Event(action, container_id, session_id, 1)


class EventTests(SynchronousTestCase):
    """Messages of API 1.41, as a real engine sent them."""

    def message(self, kind: str, action: str, attributes: dict[str, str], actor: str = "c") -> dict[str, Any]:
        """A message, with fields that are not looked at left in."""
        return {
            "Type": kind,
            "Action": action,
            "Actor": {"ID": actor, "Attributes": attributes},
            "scope": "local",
            "time": 1795382941,
            "timeNano": 1795382941018221424,
        }

    def test_a_containers(self) -> None:
        message = self.message("container", "die", {LABEL: "s", "exitCode": "137", "image": "i"})
        self.assertEqual(event_from(message, LABELS), Event("die", "c", "s", 1795382941018221424))

    def test_a_networks_names_the_container_in_its_attributes(self) -> None:
        message = self.message("network", "disconnect", {"container": "c", "name": "n", "type": "bridge"}, "network")
        self.assertEqual(event_from(message, LABELS), Event("disconnect", "c", None, 1795382941018221424))

    def test_what_is_not_ours_is_nothing(self) -> None:
        for message in (
            self.message("container", "die", {"image": "i"}),
            self.message("container", "exec_start: sh", {LABEL: "s"}),
            self.message("volume", "create", {LABEL: "s"}),
            self.message("network", "create", {"name": "n"}),
        ):
            self.assertIsNone(event_from(message, LABELS))

    def test_f2_of_another_installation_only_where_those_are_served(self) -> None:
        message = self.message("container", "die", {LABEL: "s", INSTANCE_LABEL: "ba9876543210"})
        self.assertIsNone(event_from(message, LABELS))
        serving = SessionLabels(LABEL, LABELS.instance, serve_foreign=True)
        self.assertEqual(event_from(message, serving), Event("die", "c", "s", 1795382941018221424))

    def test_what_is_no_message_raises(self) -> None:
        for message in ({}, {"Type": "container"}, [], 3, None, {"Type": "network", "Action": "connect", "Actor": 1}):
            with self.assertRaises((KeyError, TypeError, AttributeError)):
                event_from(message, LABELS)  # type: ignore[arg-type]


class PictureTests(SynchronousTestCase):
    """One container's life, step by step."""

    def setUp(self) -> None:
        self.cache = ContainerCache()

    def refresh(self, found: Container | None, container_id: str = "c") -> str | None:
        """An inspection that began after the newest claim."""
        return self.cache.refresh(container_id, self.cache.unsettled()[container_id], found)

    def live(self) -> None:
        """A container that runs, settled."""
        self.cache.apply(event("start"))
        self.refresh(container())

    def test_a_container_shows_when_it_was_inspected(self) -> None:
        self.assertEqual(self.cache.apply(event("start")), "s")
        self.assertIsNone(self.cache.cached("s"))
        self.assertEqual(self.refresh(container()), "s")
        self.assertEqual(self.cache.cached("s"), container())

    def test_what_ends_it_takes_effect_before_any_inspection(self) -> None:
        expected = {
            "die": (ContainerState.EXITED, None),
            "pause": (ContainerState.PAUSED, "198.18.0.1"),
            "disconnect": (ContainerState.RUNNING, None),
        }
        for action, (state, address) in expected.items():
            self.live()
            self.cache.apply(event(action))
            self.assertIsNone(self.cache.cached("s"))
            latest = self.cache.latest("s")
            assert latest is not None
            self.assertEqual((latest.state, latest.address), (state, address), action)

    def test_destroy_forgets_it_at_once(self) -> None:
        self.live()
        self.assertEqual(self.cache.apply(event("destroy")), "s")
        self.assertIsNone(self.cache.cached("s"))
        self.assertIsNone(self.cache.latest("s"))
        self.assertEqual((self.cache.sessions(), dict(self.cache.unsettled())), (set(), {}))

    def test_an_inspection_that_began_before_a_later_event_changes_nothing(self) -> None:
        self.cache.apply(event("start"))
        claim = self.cache.unsettled()["c"]
        self.cache.apply(event("die"))
        self.assertIsNone(self.cache.refresh("c", claim, container()))
        self.assertIsNone(self.cache.cached("s"))
        self.assertEqual(self.refresh(container(state=ContainerState.EXITED)), "s")

    def test_an_inspection_that_comes_after_its_destruction_does_not_bring_it_back(self) -> None:
        self.cache.apply(event("start"))
        claim = self.cache.unsettled()["c"]
        self.cache.apply(event("destroy"))
        self.assertIsNone(self.cache.refresh("c", claim, container()))
        self.assertEqual(self.cache.sessions(), set())

    def test_an_inspection_that_finds_nothing_forgets_it(self) -> None:
        self.live()
        self.cache.apply(event("rename"))
        self.assertEqual(self.refresh(None), "s")
        self.assertEqual(self.cache.sessions(), set())

    def test_network_events_about_strangers_are_nothing(self) -> None:
        self.assertIsNone(self.cache.apply(event("connect", "stranger", None)))
        self.assertEqual(dict(self.cache.unsettled()), {})

    def test_while_one_of_two_is_not_settled_the_session_has_none_to_trust(self) -> None:
        self.live()
        self.cache.apply(event("create", "d"))
        self.assertIsNone(self.cache.cached("s"))
        self.refresh(container("d", state=ContainerState.CREATED), "d")
        self.assertEqual(self.cache.cached("s"), container())
        self.assertEqual(self.cache.count("s"), 2)

    def test_stock_forgets_what_is_not_listed_but_what_came_up_meanwhile(self) -> None:
        self.live()
        before = self.cache.claimed
        self.cache.apply(event("create", "new"))
        self.assertEqual(self.cache.retain([], before), {"s"})
        self.assertEqual(self.cache.count("s"), 1)
        self.assertEqual(list(self.cache.unsettled()), ["new"])

    def test_stock_keeps_what_came_up_meanwhile_and_is_settled_already(self) -> None:
        before = self.cache.claimed
        self.live()
        self.assertEqual(self.cache.retain([], before), set())
        self.assertEqual(self.cache.cached("s"), container())


class Truth(RuleBasedStateMachine):
    """An engine, its stream and its inspections, each as late as hypothesis likes.

    The picture must never show a running container that is not running that life, once the stream is read up to the
    present, and it must come to show the truth when all is settled.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cache = ContainerCache()
        self.truth: dict[str, Container] = {}
        self.lives = 0
        self.stream: list[Event] = []
        self.inspections: list[tuple[str, int, Container | None]] = []
        self.listing: tuple[int, list[str]] | None = None

    ids = st.sampled_from("abc")

    @rule(container_id=ids)
    def create(self, container_id: str) -> None:
        """The engine makes one."""
        if container_id not in self.truth:
            self.truth[container_id] = container(container_id, 0, ContainerState.CREATED)
            self.stream.append(event("create", container_id))

    @rule(container_id=ids)
    def start(self, container_id: str) -> None:
        """The engine starts one."""
        found = self.truth.get(container_id)
        if found is not None and found.state in (ContainerState.CREATED, ContainerState.EXITED):
            self.lives += 1
            self.truth[container_id] = container(container_id, self.lives)
            self.stream.append(event("start", container_id))

    @rule(container_id=ids)
    def die(self, container_id: str) -> None:
        """A main process ends."""
        found = self.truth.get(container_id)
        if found is not None and found.running:
            self.truth[container_id] = container(container_id, int(found.started_at), ContainerState.EXITED)
            self.stream.append(event("die", container_id))

    @rule(container_id=ids)
    def destroy(self, container_id: str) -> None:
        """The engine removes one that does not run."""
        found = self.truth.get(container_id)
        if found is not None and not found.running:
            del self.truth[container_id]
            self.stream.append(event("destroy", container_id))

    @precondition(lambda self: self.stream)
    @rule(count=st.integers(1, 3))
    def read(self, count: int) -> None:
        """Some of the stream arrives."""
        for _ in range(min(count, len(self.stream))):
            self.cache.apply(self.stream.pop(0))

    @precondition(lambda self: self.cache.unsettled())
    @rule(data=st.data())
    def inspect(self, data: st.DataObject) -> None:
        """An inspection begins; its answer is of this moment, and comes later."""
        container_id = data.draw(st.sampled_from(sorted(self.cache.unsettled())))
        claim = self.cache.unsettled()[container_id]
        self.inspections.append((container_id, claim, self.truth.get(container_id)))

    @precondition(lambda self: self.inspections)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        """An inspection's answer arrives, in any order."""
        index = data.draw(st.integers(0, len(self.inspections) - 1))
        self.cache.refresh(*self.inspections.pop(index))

    @precondition(lambda self: self.listing is None)
    @rule()
    def list_begin(self) -> None:
        """A listing for stock is made; it comes later."""
        self.listing = (self.cache.claimed, sorted(self.truth))

    @precondition(lambda self: self.listing is not None)
    @rule()
    def list_end(self) -> None:
        """It comes."""
        assert self.listing is not None
        before, found = self.listing
        self.listing = None
        self.cache.retain(found, before)
        for container_id in found:
            self.cache.mark_dirty(container_id, "s")

    @invariant()
    def what_is_read_up_to_now_shows_no_dead_one_as_running(self) -> None:
        """An address is only dialled for the life that has it."""
        if not self.stream:
            for shown in (self.cache.cached("s"), self.cache.latest("s")):
                if shown is not None and shown.running:
                    self.assert_true(self.truth.get(shown.id) == shown)

    @invariant()
    def what_is_settled_is_true(self) -> None:
        """With nothing left to read or look up, the picture is the truth."""
        if not self.stream and not self.cache.unsettled():
            shown = self.cache.cached("s")
            running = [one for one in self.truth.values() if one.running]
            self.assert_true((shown is None) == (not self.truth))
            self.assert_true(shown is None or shown.running == bool(running))
            self.assert_true(self.cache.count("s") == len(self.truth))

    def assert_true(self, condition: bool) -> None:
        """Fail with the whole state."""
        assert condition, (self.truth, self.cache.latest("s"), self.cache.cached("s"))


Truth.TestCase.settings = settings(
    max_examples=150, stateful_step_count=30, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TruthTests = Truth.TestCase
