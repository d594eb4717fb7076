"""Peers of a bridge that speak raw bytes: what a WebSocket library would hide can be sent, and seen."""

from __future__ import annotations

import itertools
import struct
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from zope.interface import implementer

#: Seconds after which a test that waits has failed.
PATIENCE = 15.0

TEXT, BINARY, CLOSE, PING, PONG = 0x81, 0x82, 0x88, 0x89, 0x8A


def frame(first: int, payload: bytes = b"", key: bytes | None = None, announced: int | None = None) -> bytes:
    """A frame (RFC 6455 section 5.2).

    :param first: FIN, RSV bits and opcode.
    :param key: the masking key of a client's frame.
    :param announced: the length that its header says, when not the payload's.
    """
    length = len(payload) if announced is None else announced
    mask = 0 if key is None else 0x80
    if length > 0xFFFF:
        head = struct.pack("!BBQ", first, mask | 127, length)
    elif length > 125:
        head = struct.pack("!BBH", first, mask | 126, length)
    else:
        head = struct.pack("!BB", first, mask | length)
    return head + (payload if key is None else key + masked(payload, key))


def masked(payload: bytes, key: bytes) -> bytes:
    """A payload under its masking key, or out of it (section 5.3)."""
    return bytes(byte ^ other for byte, other in zip(payload, itertools.cycle(key)))


def close_payload(code: int, reason: str = "") -> bytes:
    """What a Close frame carries."""
    return code.to_bytes(2, "big") + reason.encode()


async def until(condition: Any, what: str = "") -> None:
    """Let the reactor run until a condition holds.

    :raises AssertionError: when it does not in time.
    """
    end = reactor.seconds() + PATIENCE  # type: ignore[attr-defined]
    while not condition():
        if reactor.seconds() > end:  # type: ignore[attr-defined]
            raise AssertionError(f"waited in vain {what}")
        await deferLater(reactor, 0.005, lambda: None)  # type: ignore[arg-type]


@implementer(IHalfCloseableProtocol)
class Wire(Protocol):
    """One end of a TCP connection.

    :ivar received: all bytes that came.
    :ivar ended: whether the other end has said that nothing more comes.
    :ivar reason: why the connection is gone, once it is.
    """

    transport: Any

    def __init__(self) -> None:
        self.received = b""
        self.ended = False
        self.reason: Failure | None = None
        self.connected_here: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.connected_here.callback(None)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.ended = True
        self.reason = reason

    def send(self, data: bytes) -> None:
        """Write."""
        self.transport.write(data)

    async def expect(self, data: bytes) -> None:
        """Wait until exactly this has come, and take it."""
        await until(
            lambda: len(self.received) >= len(data) or self.ended, f"for {data[:60]!r}, got {self.received[:60]!r}"
        )
        got, self.received = self.received[: len(data)], self.received[len(data) :]
        if got != data:
            raise AssertionError(f"expected {data[:200]!r}, got {got[:200]!r}")

    async def expect_end(self) -> None:
        """Wait until nothing more can come, and see that nothing more came."""
        await until(lambda: self.ended, "for the end")
        if self.received:
            raise AssertionError(f"expected nothing more, got {self.received[:200]!r}")


class WireFactory(Factory):
    """Accepts connections as :class:`Wire`."""

    noisy = False

    def __init__(self) -> None:
        self.wires: list[Wire] = []

    def buildProtocol(self, addr: Any) -> Wire:
        wire = Wire()
        self.wires.append(wire)
        return wire
