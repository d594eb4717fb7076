"""Fairness between connections: a budget of work per turn of the reactor, and a run queue for the rest.

A read returns up to 64 KiB, which may contain thousands of tiny requests, chunks or frames. A reader processes a few of
them (each protocol has its own limit), and its connection is not read again until the run queue has processed the rest.
The queue runs round-robin for a few milliseconds per turn, which bounds the delay that any number of hostile
connections can cause to others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds per turn for all deferred work. A request takes two or three turns.
TURN = 0.002


class RunQueue:
    """Queue of steps deferred to later turns of the reactor.

    Bounded by the number of connections: each has at most one step in it.

    :param turn: seconds per turn after which no further step starts.
    """

    def __init__(self, clock: IReactorTime, turn: float = TURN) -> None:
        self._clock = clock
        self._turn = turn
        self._steps: deque[Callable[[], None]] = deque()
        self._call: IDelayedCall | None = None

    @classmethod
    def of(cls, reactor: Any) -> RunQueue:
        """The run queue of a reactor; one per reactor."""
        queue: RunQueue | None = getattr(reactor, "run_queue", None)
        if queue is None:
            queue = reactor.run_queue = cls(reactor)
        return queue

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: Callable[[], None]) -> None:
        """Call ``step`` in a later turn, after the steps already queued."""
        self._steps.append(step)
        if self._call is None:
            self._call = self._clock.callLater(0, self._run)

    def _run(self) -> None:
        steps, seconds = self._steps, self._clock.seconds
        end = seconds() + self._turn
        # A step that adds itself again runs after all others, and not before the next turn.
        for _ in range(len(steps)):
            step = steps.popleft()
            try:
                step()
            except Exception:
                _log.failure("deferred work failed")
            if seconds() >= end:
                break
        self._call = self._clock.callLater(0, self._run) if steps else None


class Account:
    """Reactor time consumed by one client while the reactor was overloaded.

    :ivar served: in seconds, added to a start value set by the reactor.
    """

    __slots__ = ("served",)

    def __init__(self) -> None:
        self.served = 0.0


def account_of(transport: Any) -> Account:
    """The account that a transport's events are charged to: its own, or another one set by :func:`charge_to`."""
    try:
        account: Account = transport.account
    except AttributeError:
        account = transport.account = Account()
    return account


def charge_to(payer: Any, transport: Any) -> None:
    """Charge a transport's events to another one from now on, such as an upstream connection to its client.

    Otherwise a client that needs a new upstream connection for each request would start with an empty account each
    time.
    """
    transport.account = account_of(payer)


class Readable(Protocol):
    """A transport whose reading can be paused."""

    def pauseProducing(self) -> None:
        """Stop reading."""

    def resumeProducing(self) -> None:
        """Read again."""


class Intake:
    """Flow control of a transport: reading pauses while the consumer is full, or while earlier input is unprocessed.

    :param work: processes earlier input, and calls :meth:`fall_behind` again when some remains.
    :ivar reading: whether the transport is read.
    """

    __slots__ = ("_behind", "_closed", "_full", "_queue", "_queued", "_transport", "_work", "reading")

    def __init__(self, queue: RunQueue, transport: Readable, work: Callable[[], None]) -> None:
        self._queue = queue
        self._transport = transport
        self._work = work
        self._full = self._behind = self._queued = self._closed = False
        self.reading = True

    def pause(self) -> None:
        """Back-pressure from the consumer: neither read nor process until :meth:`resume`."""
        if not self._closed:
            self._full = True
            self.reading = False
            self._transport.pauseProducing()

    def resume(self) -> None:
        """The consumer is ready again."""
        if self._full:
            self._full = False
            self._go_on()

    def fall_behind(self) -> None:
        """Input remains unprocessed at the end of the turn's budget: continue in a later turn."""
        if not self._closed:
            self._behind = True
            self.reading = False
            self._transport.pauseProducing()
            self._go_on()

    def close(self) -> None:
        """Stop controlling the transport; its owner processes or drops deferred work."""
        self._closed = True

    def _go_on(self) -> None:
        if self._full or self._closed:
            return
        if not self._behind:
            self.reading = True
            self._transport.resumeProducing()
        elif not self._queued:
            self._queued = True
            self._queue.add(self._step)

    def _step(self) -> None:
        self._queued = False
        if self._full or self._closed:
            return
        self._behind, self.reading = False, True
        self._work()
        if not self._behind:
            self._go_on()
