"""An open WebSocket, relayed frame by frame and undecoded between a browser and an application."""

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
    """Timeouts of a bridge, in seconds.

    :ivar ping: ping the browser after this time without data to it; 0 disables pings.
    :ivar pong: drop the browser when it sends nothing for this time after a ping.
    :ivar close: time for both ends to answer a Close of ours, and to finish closing their connections.
    :ivar grace: hold back the application's abrupt end from the browser for this time, to learn whether its container
        ended (which closes the WebSocket with 1001).
    """

    ping: float = 30.0
    pong: float = 20.0
    close: float = 5.0
    grace: float = 1.0


class Phase(enum.Enum):
    """State of a bridge. Its deadline belongs to the state.

    =========  ==========================================  ===================================================
    state      meaning                                     at the deadline
    =========  ==========================================  ===================================================
    OPEN       both ends relay frames                      ping the browser, to PINGED
    PINGED     a ping is unanswered                        browser silent: abort; else to OPEN
    GRACE      the application ended abruptly              pass the end on to the browser, to ENDING
    CLOSING    our own Close is sent to both ends          drop both ends, to ENDING
    ENDING     one end closes, or both have sent a Close   extend while data moves; else drop both ends
    OVER       both connections are closed                 none
    =========  ==========================================  ===================================================
    """

    OPEN = "the next ping"
    PINGED = "the pong"
    GRACE = "the container's end"
    ENDING = "the end of both connections"
    CLOSING = "the closing handshake"
    OVER = "nothing"


class Bridge:
    """An open WebSocket: a browser's connection and an application's.

    :param ended: called once when both connections are closed.
    :ivar browser: the client side; the owner of the transport connects its protocol.
    :ivar application: the side in the container.
    :ivar opened: the clock's time of creation.
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
        """Start to relay: both ends are connected and the browser has received its 101."""
        self.browser.transport.registerProducer(self.application, True)
        self.application.transport.registerProducer(self.browser, True)
        self._deadlines.add(self)
        self._await_silence()

    def close(self, code: int, reason: str) -> None:
        """Close the WebSocket from our side, with a closing handshake towards each end.

        :param code: close code for the browser (RFC 6455 section 7.4); the application receives 1001, "going away".
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
        """Abort both connections."""
        self._enter(Phase.ENDING, self._timing.close)
        self.browser.abort()
        self.application.abort()

    def expired(self, now: float) -> None:
        """Act on the deadline of the current phase (see :class:`Phase`)."""
        phase, timing = self.phase, self._timing
        if phase is Phase.OPEN:
            self._ping(now)
        elif phase is Phase.PINGED:
            # Back-pressure from the application pauses the browser's side: an unread pong proves nothing.
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

    # Calls from the ends.

    @property
    def parting(self) -> bool:
        """Whether our own Close is being sent: an end then relays no frame after the current one."""
        return self.phase is Phase.CLOSING

    def flooded(self) -> None:
        """Close with 1008: one end floods the other with empty frames."""
        self.close(POLICY_VIOLATION, "Too many empty frames")

    def both_closed(self) -> None:
        """The closing handshake is complete: wait for the application to close its connection."""
        self._enter(Phase.ENDING, self._timing.close)

    def half_closed(self, end: End) -> None:
        """``end`` has shut its sending side and still reads."""
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
        """The connection of ``end`` is closed."""
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
        """Whether the application's abrupt end may be its container's, which closes the WebSocket with 1001."""
        said = self.application.frames
        alive = self.phase is not Phase.ENDING and not self.browser.finished
        return alive and self._timing.grace > 0 and said.between and not said.closing

    def _still_moving(self, now: float) -> bool:
        """Whether one end still sends, or still reads what was sent to it."""
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
