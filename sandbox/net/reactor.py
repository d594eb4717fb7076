"""Twisted's epoll reactor with a monotonic clock, write coalescing, and no logging context per event.

Twisted's clock is the wall clock: when it steps by an hour, running commands are killed as timed out, or no timed call
runs for an hour, including the service manager's watchdog. This reactor uses the monotonic clock. Code that needs dates
uses the wall clock (:func:`time.time`, :meth:`datetime.now`), never the reactor.

``EPollReactor`` copies the logging context for every event of a socket, for the legacy logging system's prefix of the
protocol's name. That prefix is unused here; at two events per request it would be a tenth of the gateway's cost
(docs/performance.md). Sending at the end of each turn saves even more (:mod:`sandbox.net.write_coalescing`).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from math import inf
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
# Seconds that the first write of a turn may wait for the others: the time of about thirty small responses.
_TOGETHER = 0.001
# Maximum of events per poll, and seconds after which timed calls run before the remaining events: when thousands of
# clients disconnect or send at the same time, the watchdog notification must not wait for all of them.
_EVENTS = 256
_TURN = 0.003
# Seconds that a client may consume before others are served first: the cost of an ordinary request. Otherwise a client
# with a request in progress would wait for all new clients, and some clients reconnect for each request.
_FREE = 0.002
# More seconds than any clock shows: subtracting it sorts a time before all others.
_BEFORE = 1e9


class Reactor(EPollReactor):
    """An epoll reactor that dispatches events without logging context, fairly under overload.

    While overloaded (turns are cut short), the sockets that consumed the least reactor time are served first. Their
    accounts (``Account`` of :mod:`sandbox.net.fairness`) start at the time when the overload began. So a new client
    never waits for clients that have consumed more than it, however many of those are ready.

    :ivar batch: writes of the current turn, see :mod:`sandbox.net.write_coalescing`.
    :ivar run_queue: work deferred to later turns, see :mod:`sandbox.net.fairness`.
    """

    seconds = staticmethod(monotonic)

    def __init__(self) -> None:
        self.batch = WriteBatch()
        self.run_queue = RunQueue(self)
        # Whether the last turn left events unserved, and since when.
        self._behind = False
        self._since = 0.0
        super().__init__()  # type: ignore[no-untyped-call]

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and let each socket read or write.

        :param timeout: maximum wait in seconds; ``None``: until an event arrives.
        """
        selectables, reads, batch, behind = self._selectables, self._reads, self.batch, self._behind
        if batch.held:
            batch.send()
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, _EVENTS)
        except InterruptedError:
            return
        self._behind = False
        begun = collected = now = monotonic()
        if behind:
            events.sort(key=self._place(now))
        for number, event in events:
            # Serving an earlier event may have closed this socket, or paused its reading.
            selectable = selectables.get(number)
            if selectable is None or (event == EPOLLIN and number not in reads):
                continue
            before = now
            self._serve(selectable, number, event)
            now = monotonic()
            if behind and not isinstance(selectable, Port):
                account = account_of(selectable)
                account.served = max(account.served, self._since) + now - before
                account.ready = 0.0
            if now - begun >= _TURN:
                # epoll is level-triggered: the next poll reports the remaining events again.
                self._behind = True
                if not behind:
                    self._since = now
                break
            if batch.held and now - collected >= _TOGETHER:
                batch.send()
                collected = now
        # Before the timed calls, which examine unsent bytes.
        if batch.held:
            batch.send()

    doIteration = doPoll

    def _place(self, now: float) -> Callable[[tuple[int, int]], float]:
        """The sort key of events in a turn that begins ``now``."""
        selectables, since = self._selectables, self._since
        free = since + _FREE

        def place(event: tuple[int, int]) -> float:
            selectable = selectables.get(event[0])
            if selectable is None or isinstance(selectable, Port):
                return -inf
            account = account_of(selectable)
            if account.ready < since:
                account.ready = now
            return account.served if account.served > free else account.ready - _BEFORE

        return place

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
        """Fast path of the most frequent event: readable only."""
        try:
            why = selectable.doRead()
        except BaseException as error:
            _log.failure("reading from {selectable} failed", selectable=repr(selectable))
            why = error
        if why:
            self._disconnectSelectable(selectable, why, True)  # type: ignore[no-untyped-call]


def use_monotonic_clock(reactor: IReactorTime) -> None:
    """Switch any reactor to the monotonic clock. Call it before anything is scheduled."""
    reactor.seconds = monotonic  # type: ignore[method-assign]


def install() -> None:
    """Install it as this process's reactor, unless one is installed already, such as by ``twistd --reactor``.

    It uses private attributes of its base class. Falls back to Twisted's default reactor where these are missing.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    reactor: EPollReactor = Reactor()
    used = ("_selectables", "_reads", "_poller", "_doReadOrWrite", "_disconnectSelectable")
    if not all(hasattr(reactor, name) for name in used):
        reactor = EPollReactor()
        use_monotonic_clock(reactor)
    installReactor(reactor)
