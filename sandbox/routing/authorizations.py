"""Live authorizations: open connections end with the token, link or session that admitted them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.logger import Logger

_log = Logger()

#: Seconds between two calls of :meth:`Authorizations.end_expired`. Nothing may outlive its authorization by 5.
LOOK = 1.0


@attrs.define(eq=False)
class Authorization:
    """The authorization of every request and WebSocket that one credential admitted.

    :ivar ends: expiry, in seconds since the epoch; ``None`` for never.
    :ivar ended: whether it has ended, which is final.
    :ivar watched: whether its expiry is checked: something was attached since the last check.
    """

    session_id: str
    link_id: str | None
    ends: float | None
    _all: Authorizations
    ended: bool = False
    watched: bool = False
    _leaning: set[Callable[[], None]] = attrs.field(factory=set)

    def attach(self, end: Callable[[], None]) -> None:
        """Call ``end`` when the authorization ends, at once when it has. The caller detaches when it is done."""
        if self.ended:
            end()
            return
        self._leaning.add(end)
        if not self.watched:
            self._all.watch(self)

    def detach(self, end: Callable[[], None]) -> None:
        """Remove a callback of :meth:`attach`; idempotent."""
        self._leaning.discard(end)

    def end(self) -> None:
        """End it now and call every attached callback."""
        self.ended = True
        while self._leaning:
            try:
                self._leaning.pop()()
            except Exception:
                # Call the other callbacks all the same.
                _log.failure("callback of an ended authorization failed session={session}", session=self.session_id)

    def __len__(self) -> int:
        return len(self._leaning)


class Authorizations:
    """Every authorization with attached callbacks.

    :param now: the wall clock, in seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._watched: dict[str, set[Authorization]] = {}

    def make(self, session_id: str, link_id: str | None, ends: float | None) -> Authorization:
        """Create an authorization; it is watched from its first callback on."""
        return Authorization(session_id, link_id, ends, self)

    def watch(self, authorization: Authorization) -> None:
        """Start to check the expiry of an authorization."""
        authorization.watched = True
        self._watched.setdefault(authorization.session_id, set()).add(authorization)

    def end_link(self, session_id: str, link_id: str) -> None:
        """A link was revoked: end its authorizations."""
        self._end(each for each in self._watched.get(session_id, ()) if each.link_id == link_id)

    def end_session(self, session_id: str) -> None:
        """A session was created or deleted: end its authorizations."""
        self._end(self._watched.get(session_id, ()))

    def end_all(self) -> None:
        """End every authorization."""
        self._end(authorization for watched in self._watched.values() for authorization in watched)

    def __len__(self) -> int:
        """Number of attached callbacks."""
        return sum(len(authorization) for watched in self._watched.values() for authorization in watched)

    def end_expired(self) -> None:
        """End expired authorizations, and forget those without callbacks (cheaper here than at each detach)."""
        now = self._now()
        everything = [authorization for watched in self._watched.values() for authorization in watched]
        self._end(each for each in everything if each.ends is not None and each.ends <= now)
        for authorization in everything:
            if not len(authorization):
                self._forget(authorization)

    def _end(self, authorizations: Iterable[Authorization]) -> None:
        # A copy: a callback may make or watch another authorization.
        for authorization in list(authorizations):
            authorization.end()

    def _forget(self, authorization: Authorization) -> None:
        authorization.watched = False
        watched = self._watched[authorization.session_id]
        watched.discard(authorization)
        if not watched:
            del self._watched[authorization.session_id]
