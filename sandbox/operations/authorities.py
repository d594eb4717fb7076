"""What open connections lean on: each ends with the token, link or session that let it in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import attrs
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds between looks at the time; the contract's bar is that nothing outlives its authority by 5.
PERIOD = 1.0


@attrs.define(eq=False)
class Authority:
    """The right to go on, of one request or one socket.

    :ivar ends: when it ends by itself, in seconds since the epoch; ``None`` for never.
    :ivar ended: whether it has ended; it does not come back.
    """

    session_id: str
    link_id: str | None
    ends: float | None
    _all: Authorities
    _callback: Callable[[], None] | None = None
    ended: bool = False

    def on_end(self, callback: Callable[[], None]) -> None:
        """Have ``callback`` called once, when it ends before it was released; at once when it has ended already."""
        self._callback = callback
        if self.ended:
            self.end()

    def again(self) -> Authority:
        """The same right for what outlives the request that it was given to; ended when this one has."""
        authority = self._all.hold(self.session_id, self.link_id, self.ends)
        if self.ended:
            authority.end()
        return authority

    def release(self) -> None:
        """Let go: what leaned on it is over. Nothing happens the second time."""
        self._callback = None
        self._all.let_go(self)

    def end(self) -> None:
        """End it, whatever the time."""
        self.ended = True
        self._all.let_go(self)
        callback, self._callback = self._callback, None
        if callback is not None:
            try:
                callback()
            except Exception:
                # The others must end all the same.
                _log.failure("cannot end what leaned on an authority of session={session}", session=self.session_id)


class Authorities:
    """Every authority that something leans on now.

    :param now: the wall clock, in seconds since the epoch.
    """

    def __init__(self, clock: IReactorTime, now: Callable[[], float]) -> None:
        self._clock = clock
        self._now = now
        self._held: dict[str, set[Authority]] = {}
        self._look: IDelayedCall | None = None

    def hold(self, session_id: str, link_id: str | None, ends: float | None) -> Authority:
        """Begin to watch one; whoever gets it calls ``release``."""
        authority = Authority(session_id, link_id, ends, self)
        held = self._held.get(session_id)
        if held is None:
            self._held[session_id] = {authority}
        else:
            held.add(authority)
        if self._look is None:
            self._look = self._clock.callLater(PERIOD, self._end_the_expired)
        return authority

    def end_link(self, session_id: str, link_id: str) -> None:
        """End all that a link let in: it was revoked."""
        held = self._held.get(session_id, set())
        self._end([authority for authority in held if authority.link_id == link_id])

    def end_session(self, session_id: str) -> None:
        """End all that was let into a session's preview: it was deleted."""
        self._end(list(self._held.get(session_id, ())))

    def let_go(self, authority: Authority) -> None:
        """Watch one no longer."""
        held = self._held.get(authority.session_id)
        if held is not None:
            held.discard(authority)
            if not held:
                del self._held[authority.session_id]

    def close(self) -> None:
        """Stop to look at the time. What is held is left to those who hold it."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def __len__(self) -> int:
        return sum(map(len, self._held.values()))

    def _end_the_expired(self) -> None:
        self._look = None
        now = self._now()
        everything = [authority for held in self._held.values() for authority in held]
        self._end([authority for authority in everything if authority.ends is not None and authority.ends <= now])
        if self._held and self._look is None:
            self._look = self._clock.callLater(PERIOD, self._end_the_expired)

    def _end(self, authorities: Iterable[Authority]) -> None:
        for authority in authorities:
            authority.end()
