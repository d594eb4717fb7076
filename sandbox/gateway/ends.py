"""One side of an open WebSocket that is carried undecoded between a browser and an application."""

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

# Frames that are carried at once: about a quarter of a millisecond's work when they are tiny.
_FRAMES = 512
#: Frames without a payload that one side may send in a second.
EMPTY_FRAMES = 1000


@implementer(IHalfCloseableProtocol, IPushProducer)
class End(Protocol):
    """One side of a bridge.

    :ivar other: the other side.
    :ivar former: the connection's protocol before.
    :ivar frames: the boundaries in what comes from this side.
    :ivar parting: our own Close to the other side, which waits until no frame from this side is under way.
    :ivar muted: whether nothing more of this side is passed on.
    :ivar finished: whether nothing more comes from this side.
    :ivar lost: whether its connection is gone.
    :ivar heard: the clock's time when something came last.
    :ivar received: bytes that came from this side.
    """

    # Class attributes stand for what most sockets never have, to keep idle ones small.
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
        """Take over a connection that has carried the opening handshake; who carried it is told of its end."""
        self.former, transport.protocol = transport.protocol, self
        self.transport = transport
        transport.setTcpNoDelay(True)  # Small frames must not wait for an acknowledgement,
        transport.setTcpKeepAlive(True)  # and a host that died must be noticed one day.

    def dataReceived(self, data: bytes) -> None:
        """Pass on what came."""
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
        """This side has said all that it will say."""
        self._finish()
        self.bridge.half_closed(self)

    def writeConnectionLost(self) -> None:
        """All that was to be said to this side has been said."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone, both ways."""
        if self.lost:
            return  # The former protocol passes on what it is told.
        self._finish()
        self.lost = True
        self.former.connectionLost(reason)
        self.bridge.end_lost(self, abrupt=reason.check(ConnectionDone) is None)

    def pauseProducing(self) -> None:
        """The other side does not keep up."""
        if not self.finished:
            self._made_intake().pause()

    def resumeProducing(self) -> None:
        """It does again."""
        if not self.finished and self._intake is not None:
            self._intake.resume()

    def stopProducing(self) -> None:
        """The other side is lost; the bridge decides what this means here."""

    def part(self, frame: bytes) -> None:
        """Send our own Close to this side as soon as no frame from the other is under way, and nothing after it."""
        source = self.other
        if source.frames.closing:
            pass  # The other side's own Close has gone before; nothing may follow it (RFC 6455 section 5.5.1).
        elif self.lost:
            source.mute()
        elif source.frames.between:
            write_coalescing.write(self.transport, frame)
            source.mute()
        elif source.finished:
            self.abort()  # A frame was broken off; nothing can follow it.
        else:
            source.parting = frame

    def mute(self) -> None:
        """Pass on nothing more of this side, but go on to read."""
        self.muted = True
        self.parting = None
        self._leave()
        self.resumeProducing()

    def close(self) -> None:
        """Close the connection once everything has been sent."""
        self.other._leave()
        self.transport.loseConnection()

    def half_close(self) -> None:
        """Say to this side that nothing more comes, once everything has been sent."""
        if self.finished:
            self.close()
        else:
            self.other._leave()
            self.transport.loseWriteConnection()

    def abort(self) -> None:
        """Break the connection off."""
        if not self.lost:
            self.transport.abortConnection()

    def drop(self) -> None:
        """Close the connection; what the other end of it has not taken by now is lost."""
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
        """Empty frames carry nothing and cost as much as others: a flood of them ends the WebSocket."""
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
        """Be no longer what the other side's connection pauses: it would wait for this side before it closes."""
        if not self.other.lost:
            self.other.transport.unregisterProducer()
