"""An open WebSocket, carried frame by frame and undecoded between a browser and an application."""

from __future__ import annotations

import enum
import secrets
from collections.abc import Callable

import attrs

from sandbox.gateway.ends import End
from sandbox.gateway.websocket_handshake import close_frame, ping_frame
from sandbox.net import write_coalescing
from sandbox.net.deadlines import NEVER, Deadlines
from sandbox.net.fairness import RunQueue

GOING_AWAY, POLICY_VIOLATION = 1001, 1008  # RFC 6455 section 7.4.1
_TOKEN_BYTES = 8


@attrs.frozen(kw_only=True)
class Timing:
    """Seconds of a bridge's life.

    :ivar ping: without anything sent to the browser until it is pinged; 0 never.
    :ivar pong: that a pinged browser may be silent before it is dropped.
    :ivar close: that both ends have to answer a Close of ours, and to end what has begun to end.
    :ivar grace: that the application's sudden end is kept from the browser, for the news that its container ended.
    """

    ping: float = 30.0
    pong: float = 20.0
    close: float = 5.0
    grace: float = 1.0


class Phase(enum.Enum):
    """What a bridge's deadline is for."""

    OPEN = "the next ping"
    PINGED = "a sign of life"
    GRACE = "the news that the container ended"
    ENDING = "the rest of an end that has begun"
    CLOSING = "the answers to our Close"
    OVER = "nothing"


class Bridge:
    """A WebSocket that is open on both sides.

    :param ended: called once when both connections are gone.
    :ivar browser: the side that asked; its protocol is connected by whoever owns the transport.
    :ivar application: the side in the container.
    :ivar opened: the clock's time when it was made.
    :ivar deadline: see :class:`sandbox.net.deadlines.Deadlines`.
    """

    deadline = NEVER
    phase = Phase.OPEN
    _unsent = 0

    def __init__(self, deadlines: Deadlines, timing: Timing, ended: Callable[[Bridge], None]) -> None:
        self.seconds = deadlines.seconds
        self._deadlines = deadlines
        self.run_queue = RunQueue.of(deadlines.clock)
        self._timing = timing
        self._ended = ended
        self.opened = self._pinged = self.seconds()
        self.browser, self.application = End(self), End(self)
        self.browser.other, self.application.other = self.application, self.browser

    def open(self) -> None:
        """Begin: both ends are connected, and the browser has its 101."""
        self.browser.transport.registerProducer(self.application, True)
        self.application.transport.registerProducer(self.browser, True)
        self._deadlines.add(self)
        self._await_silence()

    def close(self, code: int, reason: str) -> None:
        """End the WebSocket from our side, with a closing handshake towards each end.

        :param code: what the browser is told (RFC 6455 section 7.4); the application learns that the browser goes away.
        :param reason: at most 123 bytes of UTF-8.
        """
        if self.phase in (Phase.CLOSING, Phase.OVER):
            return
        self._enter(Phase.CLOSING, self._timing.close)
        self.browser.part(close_frame(code, reason, masked=False))
        self.application.part(close_frame(GOING_AWAY, reason, masked=True))
        for end in (self.browser, self.application):
            if end.finished and not end.lost:
                end.close()

    def abort(self) -> None:
        """Break both connections off."""
        self._enter(Phase.ENDING, self._timing.close)
        self.browser.abort()
        self.application.abort()

    def expired(self, now: float) -> None:
        """The phase's time is up."""
        phase, timing = self.phase, self._timing
        if phase is Phase.OPEN:
            self._ping(now)
        elif phase is Phase.PINGED:
            # While the application takes nothing the browser is not read, and a pong would not be seen.
            if self.browser.heard < self._pinged and not write_coalescing.unsent(self.application.transport):
                self.abort()
            else:
                self._await_silence()
        elif phase is Phase.GRACE:
            self._pass_on_end()
        elif phase is Phase.ENDING and self._still_moving(now):
            self._enter(Phase.ENDING, timing.close)
        else:
            self._enter(Phase.ENDING, timing.close)
            for end in (self.browser, self.application):
                end.drop()

    # From the ends.

    @property
    def parting(self) -> bool:
        """Whether our own Close is on its way, so that an end's frames go no further than the one under way."""
        return self.phase is Phase.CLOSING

    def flooded(self) -> None:
        """One end sends frames without a payload, without an end."""
        self.close(POLICY_VIOLATION, "Too many empty frames")

    def both_closed(self) -> None:
        """The closing handshake is complete; the application has to close its connection now."""
        self._enter(Phase.ENDING, self._timing.close)

    def half_closed(self, end: End) -> None:
        """Nothing more comes from ``end``, which still listens."""
        if self.phase is Phase.CLOSING:
            if end.parting is not None:
                end.other.abort()
            end.close()
        elif end is self.application and self._may_be_container():
            self._enter(Phase.GRACE, self._timing.grace)
        else:
            self._enter(Phase.ENDING, self._timing.close)
            if end.other.finished:
                end.close()
            if not end.other.lost:
                end.other.half_close()

    def end_lost(self, end: End, abrupt: bool) -> None:
        """The connection of ``end`` is gone."""
        other = end.other
        if other.lost:
            self._enter(Phase.OVER, NEVER)
            self._deadlines.discard(self)
            self._ended(self)
        elif self.phase is Phase.CLOSING:
            if end.parting is not None:
                other.abort()
        elif abrupt and end is self.application and self._may_be_container():
            self._enter(Phase.GRACE, self._timing.grace)
        elif abrupt and not end.frames.closing:
            other.abort()
        else:
            other.close()

    def _may_be_container(self) -> bool:
        """Whether the application's sudden end may be its container's, which the browser is told with 1001."""
        said = self.application.frames
        alive = self.phase is not Phase.ENDING and not self.browser.finished
        return alive and self._timing.grace > 0 and said.between and not said.closing

    def _still_moving(self, now: float) -> bool:
        """Whether one end still speaks, or still takes what was sent to it."""
        unsent = write_coalescing.unsent(self.browser.transport) + write_coalescing.unsent(self.application.transport)
        moved, self._unsent = unsent != self._unsent, unsent
        return moved or now < max(self.browser.heard, self.application.heard) + self._timing.close

    def _pass_on_end(self) -> None:
        self._enter(Phase.ENDING, self._timing.close)
        if self.application.lost:
            self.browser.abort()
        else:
            self.browser.half_close()

    # Keep-alive.

    def _await_silence(self) -> None:
        ping = self._timing.ping
        if ping:
            sent = max(self.application.heard, self._pinged)
            self._enter(Phase.OPEN, max(sent + ping - self.seconds(), 0))
        else:
            self._enter(Phase.OPEN, NEVER)

    def _ping(self, now: float) -> None:
        browser, frames = self.browser, self.application.frames
        if now < self.application.heard + self._timing.ping:
            self._await_silence()
        elif frames.between and not frames.closing and not write_coalescing.unsent(browser.transport):
            self._pinged = now
            token = secrets.token_bytes(_TOKEN_BYTES)
            browser.frames.awaited = token
            write_coalescing.write(browser.transport, ping_frame(token))
            self._enter(Phase.PINGED, self._timing.pong)
        else:
            self._enter(Phase.OPEN, self._timing.ping)

    def _enter(self, phase: Phase, seconds: float) -> None:
        self.phase = phase
        self.deadline = self.seconds() + seconds
