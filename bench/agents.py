"""What the simulated engine has at the other end of an exec: an agent of a container, honest or hostile.

It speaks as :mod:`sandbox.runtimes.docker.protocol` has it, on the multiplexed stream that an engine makes of what a
program writes: what the program writes at once is one frame of it.
"""

from __future__ import annotations

import asyncio
import itertools
import struct
from collections.abc import Callable, Iterator

from sandbox.runtimes.docker import protocol

_HEADER = struct.Struct(">IIB")
#: What the engine has in front of a piece of standard output.
_STDOUT = struct.Struct(">BxxxI")
_BLOCK = 1 << 15
_NAMES = 20

#: What an agent answers a request with, by its type, id and payload: bytes of the stream.
Conduct = Callable[[int, int, bytes], Iterator[bytes]]


def _frame(request_id: int, kind: int, payload: bytes = b"") -> bytes:
    return _HEADER.pack(len(payload), request_id, kind) + payload


def _written(data: bytes) -> bytes:
    return _STDOUT.pack(1, len(data)) + data


def _reply(request_id: int, kind: int, payload: bytes = b"") -> bytes:
    return _written(_frame(request_id, kind, payload))


def _honest(kind: int, request_id: int, payload: bytes) -> Iterator[bytes]:
    """As much NUL, or as many entries, as are asked for at most."""
    if kind == protocol.EXEC:
        left = int.from_bytes(payload[12:20], "big")
        piece = _reply(request_id, protocol.STDOUT, bytes(protocol.MAX_REPLY))
        for _ in range(left // protocol.MAX_REPLY):
            yield piece
        yield _reply(request_id, protocol.EXIT, struct.pack(">BBBIQ", 0, 0, 8, 0, 1000))
    elif kind == protocol.LIST:
        limit = int.from_bytes(payload[:4], "big")
        for start in range(0, limit, _NAMES):
            entries = (struct.pack(">BQqIH", ord("f"), 1, 1, 0, 9) + b"e%08d" % n for n in range(start, start + _NAMES))
            yield _reply(request_id, protocol.ENTRIES, b"".join(entries))
        yield _reply(request_id, protocol.DONE)


def _empty(kind: int, request_id: int, payload: bytes) -> Iterator[bytes]:
    """Replies without a byte of output, for ever."""
    return itertools.repeat(_written(_frame(request_id, protocol.STDOUT) * (_BLOCK // _HEADER.size)))


def _single(kind: int, request_id: int, payload: bytes) -> Iterator[bytes]:
    """Output of a byte at a time, and that written a byte at a time, for ever."""
    reply = _frame(request_id, protocol.STDOUT, b"x")
    written = b"".join(_written(reply[at : at + 1]) for at in range(len(reply)))
    return itertools.repeat(written * (_BLOCK // len(written)))


#: By name.
CONDUCTS: dict[str, Conduct] = {"honest": _honest, "empty": _empty, "single": _single}


class Agent:
    """One agent's stream."""

    def __init__(self, writer: asyncio.StreamWriter, conduct: str) -> None:
        self._writer = writer
        self._conduct = conduct
        self._answering: dict[int, asyncio.Task[None]] = {}

    async def run(self, reader: asyncio.StreamReader) -> None:
        """Answer until the stream ends."""
        try:
            while True:
                size, request_id, kind = _HEADER.unpack(await reader.readexactly(_HEADER.size))
                payload = await reader.readexactly(size)
                if kind == protocol.HELLO:
                    self._writer.write(_reply(request_id, protocol.GREETING, bytes([protocol.VERSION])))
                elif kind == protocol.KILL:
                    self._killed(request_id)
                elif kind in (protocol.EXEC, protocol.LIST):
                    answer = self._answer(kind, request_id, payload)
                    self._answering[request_id] = asyncio.create_task(answer)
        finally:
            for task in self._answering.values():
                task.cancel()

    def _killed(self, request_id: int) -> None:
        task = self._answering.pop(request_id, None)
        if task is not None and not task.done() and self._conduct == "honest":
            task.cancel()
            self._writer.write(_reply(request_id, protocol.EXIT, struct.pack(">BBBIQ", 1, 9, 2, 0, 1000)))

    async def _answer(self, kind: int, request_id: int, payload: bytes) -> None:
        for piece in CONDUCTS[self._conduct](kind, request_id, payload):
            self._writer.write(piece)
            await self._writer.drain()
        self._answering.pop(request_id, None)
