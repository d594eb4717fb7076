"""Peers of a bridge that speak raw bytes: what a WebSocket library would hide can be sent, and seen."""

from __future__ import annotations

import itertools
import struct
from typing import Any

from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from sandbox.net import write_coalescing
from tests.http.wire import Wire
from tests.waiting import pause, until

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


@implementer(IHalfCloseableProtocol)
class HalfWire(Wire):
    """A wire that goes on listening or speaking when one half of its connection is closed.

    :ivar ended: whether the other end has said that nothing more comes.
    """

    transport: Any
    ended = False

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.setTcpNoDelay(True)

    def readConnectionLost(self) -> None:
        self.ended = True

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Failure) -> None:
        self.ended = True
        super().connectionLost(reason)


async def fill(wire: Wire, chunk: bytes) -> int:
    """Send until the connection takes no more, because nobody reads at its other end; gives how many chunks were sent.

    :raises AssertionError: when it takes more than any number of buffers on the way could hold.
    """
    for sent in range(1, 2000):
        wire.send(chunk)
        await pause(0.001)
        before = write_coalescing.unsent(wire.transport)
        if before:
            await pause(0.1)
            if write_coalescing.unsent(wire.transport) == before:
                return sent
    raise AssertionError("the writer was never slowed")


async def expect(wire: Wire, data: bytes) -> None:
    """Wait until exactly this has come, and take it."""
    try:
        await until(lambda: len(wire.received) >= len(data) or wire.lost is not None)
    finally:
        got, wire.received = wire.received[: len(data)], wire.received[len(data) :]
        if got != data:
            raise AssertionError(f"expected {data[:200]!r}, got {got[:200]!r}")


async def expect_end(wire: Wire) -> None:
    """Wait until nothing more can come, and see that nothing more came."""
    await until(lambda: wire.lost is not None or getattr(wire, "ended", False), "for the end")
    if wire.received:
        raise AssertionError(f"expected nothing more, got {wire.received[:200]!r}")
