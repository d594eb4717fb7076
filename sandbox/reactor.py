"""Twisted's epoll reactor without a logging context for each event.

``EPollReactor`` copies the logging context for every socket that has something to say, so that the old logging system
can name the protocol in front of a line. Nobody reads that name here, and at two events a request it is a tenth of what
the gateway costs (docs/performance.md).
"""

from __future__ import annotations

import sys

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.logger import Logger

_log = Logger()


class Reactor(EPollReactor):
    """An epoll reactor that tells a socket of its event, and nobody else."""

    def doPoll(self, timeout: float | None) -> None:
        """Wait for events, and have each socket read or write.

        :param timeout: seconds to wait at most; ``None``: until something happens.
        """
        selectables = self._selectables
        try:
            events = self._poller.poll(-1 if timeout is None else timeout, len(selectables))
        except InterruptedError:
            return
        for number, event in events:
            # One event's work may have closed the socket of a later one.
            selectable = selectables.get(number)
            if selectable is not None:
                try:
                    self._doReadOrWrite(selectable, number, event)  # type: ignore[no-untyped-call]
                except KeyboardInterrupt:
                    raise
                except BaseException:
                    _log.failure("unhandled error on {selectable}", selectable=repr(selectable))

    doIteration = doPoll


def install() -> None:
    """Make it this process's reactor, unless there is one already: ``twistd --reactor`` has been obeyed by then.

    What it uses of its base class is not public. Should a later Twisted do without, its own reactor is taken.
    """
    if "twisted.internet.reactor" in sys.modules:
        return
    reactor = Reactor()  # type: ignore[no-untyped-call]
    known = all(hasattr(reactor, name) for name in ("_selectables", "_poller", "_doReadOrWrite"))
    installReactor(reactor if known else EPollReactor())
