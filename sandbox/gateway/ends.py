"""One side of an open WebSocket that is relayed undecoded between a browser and an application."""

from __future__ import annotations

from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sandbox.gateway.interfaces import BridgeCallbacks
from sandbox.net import write_coalescing
from sandbox.net.fairness import Intake
from sandbox.protocols.websocket import FrameTracker

# Frames relayed per turn: about a quarter of a millisecond's work when they are tiny.
_FRAMES = 512
#: Maximum of frames without a payload per second and side.
EMPTY_FRAMES = 1000


@implementer(IHalfCloseableProtocol, IPushProducer)
class End(Protocol):
    """One side of a bridge.

    :ivar other: the other side.
    :ivar former: the connection's previous protocol.
    :ivar frames: frame boundaries in the data from this side.
    :ivar parting: our own Close to the other side, held until the current frame from this side is complete.
    :ivar muted: whether data from this side is discarded.
    :ivar finished: whether this side has shut its sending side.
    :ivar lost: whether the connection is closed.
    :ivar heard: the clock's time of the last data.
    :ivar received: bytes received from this side.
    """

    # Defaults are class attributes, so that idle sockets need no instance entry for them.
    transport: Any
    other: End
    former: Any = None
    parting: bytes | None = None
    muted = False
    finished = False
    lost = False
    received = 0
    _intake: Intake | None = None
    _empty_since = 0.0

    def __init__(self, bridge: BridgeCallbacks[End]) -> None:
        self.bridge = bridge
        self.frames = FrameTracker()
        self.heard = bridge.seconds()

    def makeConnection(self, transport: Any) -> None:
        """Take over a connection after the opening handshake; its former protocol is notified when it closes."""
        self.former, transport.protocol = transport.protocol, self
        self.transport = transport
        transport.setTcpNoDelay(True)  # Small frames must not wait for an acknowledgement,
        transport.setTcpKeepAlive(True)  # and the connection to a dead host must time out.

    def dataReceived(self, data: bytes) -> None:
        """Relay data to the other side."""
        bridge = self.bridge
        self.heard = bridge.seconds()
        self.received += len(data)
        frames = self.frames
        data = frames.feed(data, _FRAMES)
        if bridge.parting:
            self._receive_parting(data)
        else:
            write_coalescing.write(self.other.transport, data)
            if frames.closing and self.other.frames.closing:
                bridge.both_closed()
        if frames.empty:
            self._count_empty()
        if frames.behind:
            self._made_intake().fall_behind()

    def readConnectionLost(self) -> None:
        """This side has shut its sending side."""
        self._finish()
        self.bridge.half_closed(self)

    def writeConnectionLost(self) -> None:
        """Our sending side towards this end is shut; nothing to do."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is closed in both directions."""
        if self.lost:
            return  # The former protocol forwards the notification to this one.
        self._finish()
        self.lost = True
        self.former.connectionLost(reason)
        self.bridge.end_lost(self, abrupt=reason.check(ConnectionDone) is None)

    def pauseProducing(self) -> None:
        """Back-pressure: the other side reads too slowly."""
        if not self.finished:
            self._made_intake().pause()

    def resumeProducing(self) -> None:
        """The other side reads again."""
        if not self.finished and self._intake is not None:
            self._intake.resume()

    def stopProducing(self) -> None:
        """The other side is closed; :meth:`Bridge.end_lost` handles it."""

    def part(self, frame: bytes) -> None:
        """Send our own Close to this side after the other side's current frame, and nothing after it."""
        source = self.other
        if source.frames.closing:
            pass  # The other side's own Close was relayed; no frame may follow it (RFC 6455 section 5.5.1).
        elif self.lost:
            source.mute()
        elif source.frames.between:
            write_coalescing.write(self.transport, frame)
            source.mute()
        elif source.finished:
            self.abort()  # The last frame is incomplete; no Close can follow it.
        else:
            source.parting = frame

    def mute(self) -> None:
        """Discard further data from this side, but keep reading it."""
        self.muted = True
        self.parting = None
        self._leave()
        self.resumeProducing()

    def close(self) -> None:
        """Close the connection when everything is sent."""
        self.other._leave()
        self.transport.loseConnection()

    def half_close(self) -> None:
        """Shut our sending side towards this end when everything is sent."""
        if self.finished:
            self.close()
        else:
            self.other._leave()
            self.transport.loseWriteConnection()

    def abort(self) -> None:
        """Reset the connection."""
        if not self.lost:
            self.transport.abortConnection()

    def drop(self) -> None:
        """Close the connection; data that the peer has not read by now is discarded."""
        if not self.lost and not write_coalescing.unsent(self.transport):
            self.close()
        else:
            self.abort()

    def _receive_parting(self, data: bytes) -> None:
        if not self.muted:
            boundary = self.frames.boundary
            if self.parting is None or boundary is None:
                write_coalescing.write(self.other.transport, data)
            else:
                write_coalescing.write(self.other.transport, data[:boundary] + self.parting)
                self.mute()
        if self.frames.closing and self.frames.between:
            self.close()  # Section 7.1.1: after both Close frames the server closes; the application does by itself.

    def _count_empty(self) -> None:
        """Count frames without a payload, which cost as much as others: exceeding the limit ends the WebSocket."""
        if self.heard >= self._empty_since + 1:
            self._empty_since, self.frames.empty = self.heard, 1
        elif self.frames.empty > EMPTY_FRAMES:
            self.frames.empty = 0
            self.bridge.flooded()

    def _catch_up(self) -> None:
        self.dataReceived(b"")

    def _made_intake(self) -> Intake:
        if self._intake is None:
            self._intake = Intake(self.bridge.run_queue, self.transport, self._catch_up)
        return self._intake

    def _finish(self) -> None:
        if self.finished:
            return
        if self._intake is not None:
            self._intake.close()
        while self.frames.behind:
            self._catch_up()
        self.finished = True
        rest = self.frames.flush()
        if rest and not self.muted and not self.other.lost:
            write_coalescing.write(self.other.transport, rest)

    def _leave(self) -> None:
        """Unregister as the other side's producer: its transport would wait for this side before it closes."""
        if not self.other.lost:
            self.other.transport.unregisterProducer()
