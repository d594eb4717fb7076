"""``sandbox.runtimes.docker.container_calls``: one call at a time about a container, none about one that hangs."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import ContainerUnresponsive, EngineError, EngineUnavailable, Overloaded
from sandbox.runtimes.docker.container_calls import ContainerCalls


class ContainerCallsTests(SynchronousTestCase):
    """By a clock of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.pings: list[Deferred[None]] = []
        self.calls = ContainerCalls(self.clock, self.ping, backoff=30, limit=2)
        self.begun: list[str] = []

    def ping(self) -> Deferred[None]:
        self.pings.append(Deferred())
        return self.pings[-1]

    def call(self, name: str, answer: Deferred[str]) -> Callable[[], Deferred[str]]:
        """A call that notes that it begins."""

        def begin() -> Deferred[str]:
            self.begun.append(name)
            return answer

        return begin

    def time_out(self) -> None:
        """A call about the container does not come back."""
        answer: Deferred[str] = Deferred()
        self.failed = self.calls.run("c", self.call("first", answer))
        answer.errback(EngineUnavailable("no answer"))
        self.failureResultOf(self.failed, EngineUnavailable)

    def test_f34_one_call_at_a_time_about_a_container_and_those_about_others_do_not_wait(self) -> None:
        first: Deferred[str] = Deferred()
        one = self.calls.run("c", self.call("one", first))
        two = self.calls.run("c", self.call("two", Deferred()))
        self.calls.run("d", self.call("other", Deferred()))
        self.assertEqual(self.begun, ["one", "other"])
        first.callback("done")
        self.assertEqual((self.successResultOf(one), self.begun), ("done", ["one", "other", "two"]))
        self.assertNoResult(two)

    def test_f34_a_caller_that_leaves_does_not_let_the_next_call_begin(self) -> None:
        first: Deferred[str] = Deferred()
        one = self.calls.run("c", self.call("one", first))
        waiting = self.calls.run("c", self.call("waits", Deferred()))
        self.calls.run("c", self.call("two", Deferred()))
        for left in (one, waiting):
            left.cancel()
            self.failureResultOf(left, CancelledError)
        self.assertEqual(self.begun, ["one"])
        first.errback(EngineError("nobody looks at it"))
        self.assertEqual(self.begun, ["one", "two"])

    def test_f34_no_more_wait_than_is_sensible(self) -> None:
        # Referenced: a coroutine that nothing refers to is collected, which ends its call.
        answers: list[Deferred[str]] = [Deferred() for _ in range(3)]
        waiting = [self.calls.run("c", self.call("one", answer)) for answer in answers]
        self.failureResultOf(self.calls.run("c", self.call("one", Deferred())), Overloaded)
        self.assertEqual([call.called for call in waiting], [False] * 3)

    def test_f34_after_one_that_did_not_come_back_others_fail_at_once_for_a_while(self) -> None:
        self.time_out()
        self.pings[0].callback(None)
        for _ in range(2):
            self.failureResultOf(self.calls.run("c", self.call("second", Deferred())), ContainerUnresponsive)
            self.clock.advance(29)
        self.clock.advance(1)
        self.calls.run("c", self.call("third", Deferred()))
        self.assertEqual((self.begun, len(self.pings)), (["first", "third"], 1))

    def test_f34_those_that_wait_fail_as_well(self) -> None:
        first: Deferred[str] = Deferred()
        self.calls.run("c", self.call("first", first)).addErrback(lambda _: None)
        waiting = self.calls.run("c", self.call("waits", Deferred()))
        first.errback(EngineUnavailable("no answer"))
        self.failureResultOf(waiting, ContainerUnresponsive)
        self.assertEqual(self.begun, ["first"])

    def test_f34_an_engine_that_is_away_is_no_containers_fault(self) -> None:
        self.time_out()
        self.pings[0].errback(Failure(EngineUnavailable("away")))
        self.calls.run("c", self.call("second", Deferred()))
        self.assertEqual(self.begun, ["first", "second"])

    def test_f34_an_engine_that_refuses_does_answer(self) -> None:
        self.failureResultOf(self.calls.run("c", self.refused), EngineError)
        self.calls.run("c", self.call("second", Deferred()))
        self.assertEqual((self.begun, self.pings), (["second"], []))

    async def refused(self) -> str:
        """A call that the engine answers with an error."""
        raise EngineError("No such container")
