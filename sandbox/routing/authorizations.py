"""What open connections lean on: each ends with the token, link or session that let it in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.logger import Logger

_log = Logger()

#: Seconds between two calls of :meth:`Authorizations.end_expired`. Nothing may outlive its authorization by 5.
LOOK = 1.0


@attrs.define(eq=False)
class Authorization:
    """The right to go on, of every request and socket that one credential let in.

    :ivar ends: when it ends by itself, in seconds since the epoch; ``None`` for never.
    :ivar ended: whether it has ended; it does not come back.
    """

    session_id: str
    link_id: str | None
    ends: float | None
    _all: Authorizations
    ended: bool = False
    watched: bool = False
    _leaning: set[Callable[[], None]] = attrs.field(factory=set)

    def attach(self, end: Callable[[], None]) -> None:
        """Have ``end`` called when it ends, at once when it has; whoever leans calls :meth:`leave` when it is over."""
        if self.ended:
            end()
            return
        self._leaning.add(end)
        if not self.watched:
            self._all.watch(self)

    def detach(self, end: Callable[[], None]) -> None:
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
                _log.failure("cannot end what leaned on an authorization of session={session}", session=self.session_id)

    def __len__(self) -> int:
        return len(self._leaning)


class Authorizations:
    """Every authorization that something leans on now.

    :param now: the wall clock, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._watched: dict[str, set[Authorization]] = {}

    def make(self, session_id: str, link_id: str | None, ends: float | None) -> Authorization:
        """An authorization, to be watched as soon as something leans on it."""
        return Authorization(session_id, link_id, ends, self)

    def watch(self, authorization: Authorization) -> None:
        """Begin to watch one that something leans on."""
        authorization.watched = True
        self._watched.setdefault(authorization.session_id, set()).add(authorization)

    def end_link(self, session_id: str, link_id: str) -> None:
        """End all that a link let in: it was revoked."""
        self._end(each for each in self._watched.get(session_id, ()) if each.link_id == link_id)

    def end_session(self, session_id: str) -> None:
        """End all that was let into a session's preview: it was deleted."""
        self._end(self._watched.get(session_id, ()))

    def end_all(self) -> None:
        """End all that was let in by whomever."""
        self._end(authorization for watched in self._watched.values() for authorization in watched)

    def __len__(self) -> int:
        """How much leans on all of them."""
        return sum(len(authorization) for watched in self._watched.values() for authorization in watched)

    def end_expired(self) -> None:
        """End what is over, and forget what nothing leans on: requests come and go too fast for that."""
        now = self._now()
        everything = [authorization for watched in self._watched.values() for authorization in watched]
        self._end(each for each in everything if each.ends is not None and each.ends <= now)
        for authorization in everything:
            if not len(authorization):
                self._forget(authorization)

    def _end(self, authorizations: Iterable[Authorization]) -> None:
        # One that ends may make another begin.
        for authorization in list(authorizations):
            authorization.end()

    def _forget(self, authorization: Authorization) -> None:
        authorization.watched = False
        watched = self._watched[authorization.session_id]
        watched.discard(authorization)
        if not watched:
            del self._watched[authorization.session_id]
