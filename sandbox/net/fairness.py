"""Fairness between connections: a budget of work per turn of the reactor, and a run queue for the rest.

A read returns up to 64 KiB, which may contain thousands of tiny requests, chunks or frames. A reader processes a few of
them (each protocol has its own limit), and its connection is not read again until the run queue has processed the rest.
The queue runs round-robin for a few milliseconds per turn, which bounds the delay that any number of hostile
connections can cause to others.

A read may also return next to nothing and cost as much as one that returns a request: a head byte by byte, or input to
a connection that is closing. Such connections are read at a limited rate (:class:`Pacer`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable
from functools import partial
from itertools import islice
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator
from twisted.logger import Logger

from sandbox.net.timers import Timer

_log = Logger()

#: Seconds per turn for all deferred work. A new connection's request takes up to five turns.
TURN = 0.001
#: Minimum seconds between two reads of a connection that is read at a limited rate, and the number of such connections
#: read each time: bytes that arrive in between are read at once.
PAUSE, PACED = 0.005, 16


class RunQueue:
    """Queue of steps deferred to later turns of the reactor.

    Bounded by the number of connections: each has at most one step in it.

    :param turn: seconds per turn after which no further step starts.
    :ivar seconds: the clock's time.
    :ivar pacer: for connections that are read at a limited rate.
    """

    def __init__(self, clock: IReactorTime, turn: float = TURN) -> None:
        self.seconds = clock.seconds
        self._clock = clock
        self._turn = turn
        self._steps: deque[Callable[[], None]] = deque()
        self._call: IDelayedCall | None = None
        # Seconds of this turn that have gone to what might have been put off.
        self._spent = 0.0
        self.pacer = Pacer(clock)

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
        self._run_later()

    @property
    def spent(self) -> bool:
        """Whether this turn has no time left for what may as well be put off."""
        return bool(self._steps) or self._spent >= self._turn

    def soon(self, step: Callable[[], None]) -> None:
        """Call ``step`` now, if the turn has time left for it; else in a later one."""
        if self.spent:
            self.add(step)
        else:
            self.spend(step)

    def spend(self, step: Callable[[], None]) -> None:
        """Call ``step`` now, and count its time."""
        begun = self.seconds()
        try:
            step()
        finally:
            self._spent += self.seconds() - begun
            if self._spent:
                self._run_later()

    def _run_later(self) -> None:
        if self._call is None:
            self._call = self._clock.callLater(0, self._run)

    def _run(self) -> None:
        steps, seconds = self._steps, self.seconds
        self._spent = 0.0
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


class _Tick:
    """A cooperator's next step, as a delayed call."""

    def __init__(self, queue: RunQueue, step: Callable[[], None]) -> None:
        self._step = step
        queue.add(self._run)

    def _run(self) -> None:
        self._step()

    def cancel(self) -> None:
        """Remove the step."""
        self._step = _nothing


def _nothing() -> None:
    pass


def one_at_a_time(queue: RunQueue) -> Cooperator:
    """A cooperator that runs long tasks of one kind in the run queue, one step of one task at a time."""
    # A cooperator uses only the methods of a delayed call that _Tick has.
    return Cooperator(lambda: lambda: True, scheduler=partial(_Tick, queue))  # type: ignore[arg-type]


class Pacer:
    """Rate limiter for steps: runs a few in order of arrival, then pauses.

    So the reactor time of all steps together does not grow with their number; the wait of each one does.

    :param pause: in seconds.
    :param together: number of steps between two pauses.
    """

    def __init__(self, clock: IReactorTime, pause: float = PAUSE, together: int = PACED) -> None:
        self._clock = clock
        self._pause = pause
        self._together = together
        self._waiting: dict[Hashable, Callable[[], None]] = {}
        self._timer = Timer(clock)
        # The beginning of the last period with an immediate step, and the number of immediate steps in it.
        self._since, self._free = -pause, 0

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self) -> bool:
        """Whether a step may run immediately, within the limit per pause; counts it."""
        now = self._clock.seconds()
        if now >= self._since + self._pause:
            self._since, self._free = now, self._together
        if self._waiting or not self._free:
            return False
        self._free -= 1
        return True

    def add(self, owner: Hashable, step: Callable[[], None]) -> None:
        """Call ``step`` after a pause and after the steps queued before; an owner has at most one step."""
        self._waiting[owner] = step
        if not self._timer.active:
            self._timer.start(self._pause, self._run)

    def discard(self, owner: Hashable) -> None:
        """Remove the step of an owner that is gone."""
        self._waiting.pop(owner, None)
        if not self._waiting:
            self._timer.stop()

    def _run(self) -> None:
        for owner in list(islice(self._waiting, self._together)):
            step = self._waiting.pop(owner, None)
            if step is not None:
                try:
                    step()
                except Exception:
                    _log.failure("rate-limited step failed")
        if self._waiting and not self._timer.active:
            self._timer.start(self._pause, self._run)


class Account:
    """Reactor time consumed by one client while the reactor was overloaded.

    :ivar served: in seconds, added to a start value set by the reactor.
    :ivar ready: the time since when the client has had an event to serve.
    """

    __slots__ = ("ready", "served")

    def __init__(self) -> None:
        self.ready = self.served = 0.0


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

    :param work: processes buffered input, and calls :meth:`fall_behind` when some of it remains.
    :ivar reading: whether the transport is read, also when at the limited rate of :meth:`rest`.
    """

    __slots__ = ("_behind", "_closed", "_full", "_queue", "_queued", "_resting", "_transport", "_work", "reading")

    def __init__(self, queue: RunQueue, transport: Readable, work: Callable[[], None]) -> None:
        self._queue = queue
        self._transport = transport
        self._work = work
        self._full = self._behind = self._queued = self._resting = self._closed = False
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

    def begin(self) -> None:
        """Something was read: work on it now, if the turn has time left for it; else in the run queue."""
        if self._queue.spent:
            self.fall_behind()
        else:
            self._queue.spend(self._work)

    def fall_behind(self) -> None:
        """Input remains unprocessed at the end of the turn's budget: continue in a later turn."""
        if not self._closed:
            self._behind = True
            self.reading = False
            self._transport.pauseProducing()
            self._go_on()

    def rest(self) -> None:
        """The last read returned little: pause reading, so that the next read returns more."""
        if self.reading and not (self._closed or self._resting):
            self._resting = True
            self._transport.pauseProducing()
            self._queue.pacer.add(self, self._rested)

    def _rested(self) -> None:
        self._resting = False
        if self.reading and not self._closed:
            self._transport.resumeProducing()

    def close(self) -> None:
        """Stop controlling the transport; its owner processes or drops deferred work."""
        self._closed = True
        if self._resting:
            self._queue.pacer.discard(self)

    def _go_on(self) -> None:
        if self._full or self._closed:
            return
        if not self._behind:
            self.reading = True
            if not self._resting:
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
