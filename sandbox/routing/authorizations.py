"""What open connections lean on: each ends with the token, link or session that let it in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds between looks at the time. Nothing may outlive its authority by 5.
PERIOD = 1.0


@attrs.define(eq=False)
class Authority:
    """The right to go on, of every request and socket that one credential let in.

    :ivar ends: when it ends by itself, in seconds since the epoch; ``None`` for never.
    :ivar ended: whether it has ended; it does not come back.
    """

    session_id: str
    link_id: str | None
    ends: float | None
    _all: Authorities
    ended: bool = False
    watched: bool = False
    _leaning: set[Callable[[], None]] = attrs.field(factory=set)

    def lean(self, end: Callable[[], None]) -> None:
        """Have ``end`` called when it ends, at once when it has; whoever leans calls :meth:`leave` when it is over."""
        if self.ended:
            end()
            return
        self._leaning.add(end)
        if not self.watched:
            self._all.watch(self)

    def leave(self, end: Callable[[], None]) -> None:
        """Lean no longer; nothing happens the second time."""
        self._leaning.discard(end)

    def end(self) -> None:
        """End it, whatever the time."""
        self.ended = True
        while self._leaning:
            try:
                self._leaning.pop()()
            except Exception:
                # The others must end all the same.
                _log.failure("cannot end what leaned on an authority of session={session}", session=self.session_id)

    def __len__(self) -> int:
        return len(self._leaning)


class Authorities:
    """Every authority that something leans on now.

    :param now: the wall clock, in seconds since the epoch.
    """

    def __init__(self, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._watched: dict[str, set[Authority]] = {}
        self._look: IDelayedCall | None = None

    def make(self, session_id: str, link_id: str | None, ends: float | None) -> Authority:
        """An authority, to be watched as soon as something leans on it."""
        return Authority(session_id, link_id, ends, self)

    def watch(self, authority: Authority) -> None:
        """Begin to watch one that something leans on."""
        authority.watched = True
        self._watched.setdefault(authority.session_id, set()).add(authority)
        if self._look is None:
            self._look = self._clock.callLater(PERIOD, self._look_around)

    def end_link(self, session_id: str, link_id: str) -> None:
        """End all that a link let in: it was revoked."""
        self._end(each for each in self._watched.get(session_id, ()) if each.link_id == link_id)

    def end_session(self, session_id: str) -> None:
        """End all that was let into a session's preview: it was deleted."""
        self._end(self._watched.get(session_id, ()))

    def end_all(self) -> None:
        """End all that was let in by whomever."""
        self._end(authority for watched in self._watched.values() for authority in watched)

    def close(self) -> None:
        """Stop to look at the time. What leans is left to those who carry it."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def __len__(self) -> int:
        """How much leans on all of them."""
        return sum(len(authority) for watched in self._watched.values() for authority in watched)

    def _look_around(self) -> None:
        """End what is over, and forget what nothing leans on: requests come and go too fast for that."""
        self._look = None
        now = self._now()
        everything = [authority for watched in self._watched.values() for authority in watched]
        self._end(each for each in everything if each.ends is not None and each.ends <= now)
        for authority in everything:
            if not len(authority):
                self._forget(authority)
        if self._watched and self._look is None:
            self._look = self._clock.callLater(PERIOD, self._look_around)

    def _end(self, authorities: Iterable[Authority]) -> None:
        # One that ends may make another begin.
        for authority in list(authorities):
            authority.end()

    def _forget(self, authority: Authority) -> None:
        authority.watched = False
        watched = self._watched[authority.session_id]
        watched.discard(authority)
        if not watched:
            del self._watched[authority.session_id]
