"""Bounds on what is asked of a database."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import Overloaded, StoreUnavailable
from sandbox.net.log_context import ORIGIN, Origin, on_behalf_of
from sandbox.stores.limiter import ConcurrencyLimiter


class SlotsTests(SynchronousTestCase):
    """Two at once, three waiting, ten seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.slots = ConcurrencyLimiter(self.clock, size=2, queue=3, timeout=10)
        self.slots.open()
        self.begun: list[Deferred[int]] = []

    def tearDown(self) -> None:
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def run_one(self) -> Deferred[int]:
        def work() -> Deferred[int]:
            self.begun.append(Deferred())
            return self.begun[-1]

        return self.slots.run(work)

    def finish(self) -> None:
        for work in self.begun:
            if not work.called:
                work.callback(0)

    def test_so_many_run_and_the_others_wait_their_turn(self) -> None:
        calls = [self.run_one() for _ in range(4)]
        self.assertEqual(len(self.begun), 2)
        self.begun[1].callback(1)
        self.assertEqual(self.successResultOf(calls[1]), 1)
        self.assertEqual(len(self.begun), 3)
        self.begun[0].callback(0)
        self.begun[2].callback(2)
        self.begun[3].callback(3)
        self.assertEqual([self.successResultOf(calls[n]) for n in (0, 2, 3)], [0, 2, 3])

    def test_each_runs_on_behalf_of_who_asked_for_it(self) -> None:
        seen: list[Origin | None] = []

        def work() -> Deferred[int]:
            seen.append(ORIGIN.get())
            self.begun.append(Deferred())
            return self.begun[-1]

        for name in (b"a", b"b", b"c"):
            with on_behalf_of(name, "s"):
                self.slots.run(work)
        with on_behalf_of(b"d", "s"):
            self.begun[0].callback(0)
        self.assertEqual(seen, [(b"a", "s"), (b"b", "s"), (b"c", "s")])
        self.finish()

    def test_more_than_may_wait_are_refused(self) -> None:
        calls = [self.run_one() for _ in range(5)]
        self.assertEqual(self.failureResultOf(self.run_one(), Overloaded).value.reason_code, "STORE_BUSY")
        while any(not work.called for work in self.begun):
            self.finish()
        for call in calls:
            self.successResultOf(call)

    def test_a_failure_is_passed_on_and_frees_the_slot(self) -> None:
        calls = [self.run_one() for _ in range(3)]
        self.begun[0].errback(KeyError())
        self.failureResultOf(calls[0], KeyError)
        self.assertEqual(len(self.begun), 3)
        self.finish()
        self.successResultOf(calls[2])

    def test_work_that_raises_is_a_failure(self) -> None:
        def work() -> Deferred[None]:
            raise KeyError

        self.failureResultOf(self.slots.run(work), KeyError)

    def test_who_waits_too_long_is_told_and_never_begun(self) -> None:
        calls = [self.run_one() for _ in range(3)]
        self.clock.advance(10)
        for call in calls:
            self.failureResultOf(call, StoreUnavailable)
        self.finish()
        self.assertEqual(len(self.begun), 2)

    def test_a_call_that_nobody_waits_for_any_more_keeps_its_slot_to_its_end(self) -> None:
        calls = [self.run_one(), self.run_one()]
        calls[0].cancel()
        self.failureResultOf(calls[0], CancelledError)
        third = self.run_one()
        self.assertEqual(len(self.begun), 2)
        self.begun[0].errback(KeyError())  # nobody is told, nothing is logged as unhandled
        self.assertEqual(len(self.begun), 3)
        self.finish()
        self.successResultOf(third)
        self.successResultOf(calls[1])

    def test_a_call_cancelled_while_it_waits_is_never_begun(self) -> None:
        calls = [self.run_one() for _ in range(4)]
        calls[2].cancel()
        self.failureResultOf(calls[2], CancelledError)
        self.finish()
        self.assertEqual(len(self.begun), 3)
        self.finish()
        self.successResultOf(calls[3])

    def test_a_long_queue_that_ends_at_once_is_no_recursion(self) -> None:
        slots = ConcurrencyLimiter(self.clock, size=1, queue=5000, timeout=10)
        slots.open()
        first: Deferred[None] = Deferred()
        calls = [slots.run(lambda: first), *(slots.run(lambda: succeed(None)) for _ in range(5000))]
        first.callback(None)
        for call in calls:
            self.successResultOf(call)

    def test_closing_fails_who_waits_and_waits_for_who_runs(self) -> None:
        calls = [self.run_one() for _ in range(3)]
        closed = [self.slots.close(), self.slots.close()]
        self.failureResultOf(calls[2], StoreUnavailable)
        self.failureResultOf(self.run_one(), StoreUnavailable)
        self.begun[0].callback(0)
        self.assertNoResult(closed[0])
        self.begun[1].callback(1)
        for waiting in closed:
            self.successResultOf(waiting)
        self.assertEqual([self.successResultOf(call) for call in calls[:2]], [0, 1])
