"""Twisted's epoll reactor, with a clock that never steps, an batch, and no logging context for each event.

Twisted measures time by the wall clock. When that steps by an hour, a command that runs is killed as timed out, or no
timed call comes for an hour, the service manager's watchdog included. Here the clock is the monotonic one. What needs
dates asks the wall clock (:func:`time.time`, :meth:`datetime.now`), never the reactor.

``EPollReactor`` copies the logging context for every socket that has something to say, so that the old logging system
can name the protocol in front of a line. Nobody reads that name here, and at two events a request it is a tenth of what
the gateway costs (docs/performance.md). Sending what a turn has written at its end saves more still
(:mod:`sandbox.net.write_coalescing`).
"""

from __future__ import annotations

import sys
from select import EPOLLIN
from time import monotonic
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.main import installReactor
from twisted.internet.tcp import Port
from twisted.logger import Logger

from sandbox.net.fairness import RunQueue, account_of
from sandbox.net.write_coalescing import WriteBatch

_log = Logger()
# Seconds that the first of what a turn writes may wait for the rest: about thirty small answers' time.
_TOGETHER = 0.001
# Events that are asked for at once, and seconds after which timed calls come before the rest of them: when thousands of
# clients leave in the same moment, or have much to say, the watchdog's sign does not wait for all of them.
_EVENTS = 256
_TURN = 0.005


class Reactor(EPollReactor):
    """An epoll reactor that tells a socket of its event, and nobody else.

    While turns are cut short, the sockets that took least of the reactor's time go first: it is kept on their accounts
    (``Account`` of :mod:`sandbox.net.fairness`), on top of the moment at which that began. So a new client waits for
    none that had more than it, however many of those are always ready, and however long each of them takes.

    :ivar batch: what is written meanwhile, see :mod:`sandbox.net.write_coalescing`.
    :ivar run_queue: what is put off to later turns, see :mod:`sandbox.net.fairness`.
    """

    seconds = staticmethod(monotonic)

    def __init__(self) -> None:
        self.batch = WriteBatch()
        self.run_queue = RunQueue(self)
        # Whether the last turn had no time for some events, and since when.
        self._behind = False
        self._since = 0.0
        super().__init__()  # type: ignore[no-untyped-call]

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and have each socket read or write.

        :param timeout: seconds to wait at most; ``None``: until something happens.
        """
        selectables, reads, batch, behind = self._selectables, self._reads, self.batch, self._behind
        if batch.held:
            batch.send()
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, _EVENTS)
        except InterruptedError:
            return
        if behind:
            events.sort(key=self._place)
        self._behind = False
        begun = collected = now = monotonic()
        for number, event in events:
            # One event's work may have closed the socket of a later one, or stopped the reading from it.
            selectable = selectables.get(number)
            if selectable is None or (event == EPOLLIN and number not in reads):
                continue
            before = now
            self._serve(selectable, number, event)
            now = monotonic()
            if behind:
                account = account_of(selectable)
                account.served = max(account.served, self._since) + now - before
            if now - begun >= _TURN:
                # What is left is told again: epoll tells what there is, not what is new.
                self._behind = True
                if not behind:
                    self._since = now
                break
            if batch.held and now - collected >= _TOGETHER:
                batch.send()
                collected = now
        # Now, since the timed calls that come next look at what could not be sent.
        if batch.held:
            batch.send()

    doIteration = doPoll

    def _place(self, event: tuple[int, int]) -> float:
        """What a socket took; nothing, where it listens: its clients have had nothing."""
        selectable = self._selectables.get(event[0])
        if selectable is None or isinstance(selectable, Port):
            return 0.0
        return max(account_of(selectable).served, self._since)

    def _serve(self, selectable: Any, number: int, event: int) -> None:
        try:
            if event == EPOLLIN:
                self._read(selectable)
            else:
                self._doReadOrWrite(selectable, number, event)  # type: ignore[no-untyped-call]
        except KeyboardInterrupt:
            raise
        except BaseException:
            _log.failure("unhandled error on {selectable}", selectable=repr(selectable))

    def _read(self, selectable: Any) -> None:
        """Nearly every event: there is something to read, and nothing else."""
        try:
            why = selectable.doRead()
        except BaseException as error:
            _log.failure("reading from {selectable} failed", selectable=repr(selectable))
            why = error
        if why:
            self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]


def use_monotonic_clock(reactor: IReactorTime) -> None:
    """Have any reactor measure time by the monotonic clock; before anything is scheduled on it."""
    reactor.seconds = monotonic  # type: ignore[method-assign]


def install() -> None:
    """Make it this process's reactor, unless there is one already: ``twistd --reactor`` has been obeyed by then.

    What it uses of its base class is not public. Should a later Twisted do without, its own reactor is taken.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    reactor: EPollReactor = Reactor()
    used = ("_selectables", "_reads", "_poller", "_doReadOrWrite", "_disconnectSelectable")
    if not all(hasattr(reactor, name) for name in used):
        reactor = EPollReactor()
        use_monotonic_clock(reactor)
    installReactor(reactor)
