"""What keeps one connection from taking the reactor for itself: a budget of work a turn, and a queue for the rest.

A read brings up to 64 KiB, which may be thousands of tiny requests, chunks or frames. Who reads works off a few of them
(each says how many), and no more is read from that connection until the run queue has worked off the rest. The queue is
served some milliseconds a turn, round-robin, so that all hostile connections together delay an honest one by that
much, however many they are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds of a turn that go to all work that was put off. Two or three turns carry a request.
TURN = 0.002


class RunQueue:
    """Steps of work that did not fit into the turn in which it came up.

    It is as long as there are connections that are behind: each has one step in it at most.

    :param turn: seconds of a turn after which no further step begins.
    """

    def __init__(self, clock: IReactorTime, turn: float = TURN) -> None:
        self._clock = clock
        self._turn = turn
        self._steps: deque[Callable[[], None]] = deque()
        self._call: IDelayedCall | None = None

    @classmethod
    def of(cls, reactor: Any) -> RunQueue:
        """The run queue of a reactor: one, since the turn is one."""
        queue: RunQueue | None = getattr(reactor, "run_queue", None)
        if queue is None:
            queue = reactor.run_queue = cls(reactor)
        return queue

    def __len__(self) -> int:
        return len(self._steps)

    def add(self, step: Callable[[], None]) -> None:
        """Call ``step`` in a later turn, after those that were there before."""
        self._steps.append(step)
        if self._call is None:
            self._call = self._clock.callLater(0, self._run)

    def _run(self) -> None:
        steps, seconds = self._steps, self._clock.seconds
        end = seconds() + self._turn
        # A step that adds itself again has its next turn when all others had theirs, and not before the next turn.
        for _ in range(len(steps)):
            step = steps.popleft()
            try:
                step()
            except Exception:
                _log.failure("work that was put off failed")
            if seconds() >= end:
                break
        self._call = self._clock.callLater(0, self._run) if steps else None


class Account:
    """What the reactor has done for one client while it was behind.

    :ivar served: in seconds, from a moment that the reactor knows.
    """

    __slots__ = ("served",)

    def __init__(self) -> None:
        self.served = 0.0


def account_of(transport: Any) -> Account:
    """The account that a transport's events are charged to: its own, or another's, see :func:`charge_to`."""
    try:
        account: Account = transport.account
    except AttributeError:
        account = transport.account = Account()
    return account


def charge_to(payer: Any, transport: Any) -> None:
    """Charge a transport's events to another one from now on: to the client's whose request is carried on it.

    Else one whose every request needs a new connection to an application would have had nothing, each time.
    """
    transport.account = account_of(payer)


class Readable(Protocol):
    """A transport that can be told to stop reading."""

    def pauseProducing(self) -> None:
        """Read no more."""

    def resumeProducing(self) -> None:
        """Read again."""


class Intake:
    """Whether a transport is read: not while its consumer is full, nor while what was read is not worked off.

    :param work: goes on with what was read, and calls :meth:`fall_behind` when some of that is left again.
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
        """The consumer takes no more: neither read nor work until :meth:`resume`."""
        if not self._closed:
            self._full = True
            self.reading = False
            self._transport.pauseProducing()

    def resume(self) -> None:
        """The consumer takes more."""
        if self._full:
            self._full = False
            self._go_on()

    def fall_behind(self) -> None:
        """There is more to do with what was read than one turn allows."""
        if not self._closed:
            self._behind = True
            self.reading = False
            self._transport.pauseProducing()
            self._go_on()

    def close(self) -> None:
        """Nothing more comes: the transport is left alone, and work that was put off is its owner's to end."""
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
