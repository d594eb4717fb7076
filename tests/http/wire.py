"""A raw HTTP client for tests: it sends exactly the bytes it is told to, and reads until it has what it waits for."""

from __future__ import annotations

import re
from collections.abc import Callable

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure

from sandbox.protocols.http1.framing import ChunkedDecoder
from tests.waiting import PATIENCE


@attrs.frozen
class Answer:
    """A response as it came.

    :ivar complete: whether it ended as its framing says, not by the connection's end.
    :ivar rest: the bytes after it.
    """

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes
    complete: bool
    head: bytes
    rest: bytes
    trailers: list[tuple[bytes, bytes]] = attrs.field(factory=list)

    def all(self, name: bytes) -> list[bytes]:
        """Every value of a field."""
        return [value for field, value in self.headers if field.lower() == name.lower()]

    def get(self, name: bytes) -> bytes | None:
        """The only value of a field."""
        values = self.all(name)
        assert len(values) <= 1, f"{name!r} is repeated: {values}"
        return values[0] if values else None


def read_answer(data: bytes | bytearray, *, closed: bool, head_only: bool = False) -> Answer | None:
    """The first response in ``data``, or ``None`` while it is not there."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(data[:end])
    lines = head.split(b"\r\n")
    match = re.fullmatch(rb"HTTP/1\.1 ([0-9]{3}) ?(.*)", lines[0])
    assert match, lines[0]
    status = int(match[1])
    headers = [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines[1:])]
    known = {name.lower(): value for name, value in headers}
    start = end + 4
    trailers: list[tuple[bytes, bytes]] = []
    complete = True
    if head_only or status in {204, 304} or status < 200:
        body, rest = b"", data[start:]
    elif b"transfer-encoding" in known:
        decoder = ChunkedDecoder()
        body = b"".join(decoder.feed(bytes(data[start:])))
        rest, trailers, complete = decoder.rest, decoder.trailers, decoder.done
    elif b"content-length" in known:
        stop = start + int(known[b"content-length"])
        complete = len(data) >= stop
        body, rest = (data[start:stop], data[stop:]) if complete or closed else (b"", b"")
    else:
        body, rest, complete = data[start:], b"", closed
    if not (complete or closed):
        return None
    return Answer(status, headers, bytes(body), complete, head, bytes(rest), trailers)


class Wire(Protocol):
    """One connection. ``received`` grows; ``lost`` is the reason once it ended."""

    def __init__(self) -> None:
        self.received: bytes | bytearray = bytearray()
        self.lost: Failure | None = None
        self.on_made: Callable[[], None] | None = None
        self._waiting: list[tuple[Callable[[], object], Deferred[object]]] = []

    def connectionMade(self) -> None:
        if self.on_made is not None:
            self.on_made()

    def dataReceived(self, data: bytes) -> None:
        if isinstance(self.received, bytes):  # a test has put it there
            self.received = bytearray(self.received)
        self.received += data
        self._look()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self.lost = reason
        self._look()

    def _look(self) -> None:
        for item in list(self._waiting):
            try:
                result = item[0]()
            except AssertionError:
                self._waiting.remove(item)
                item[1].errback()
                continue
            if result is not None and item in self._waiting:
                self._waiting.remove(item)
                item[1].callback(result)

    def until(self, condition: Callable[[], object], timeout: float = PATIENCE) -> Deferred[object]:
        """Fires with the first result of ``condition`` that is not ``None``; looked at after each event."""
        result = condition()
        waiting: Deferred[object] = Deferred()
        if result is not None:
            waiting.callback(result)
            return waiting
        self._waiting.append((condition, waiting))
        return waiting.addTimeout(timeout, reactor)

    def send(self, data: bytes) -> None:
        """Send bytes."""
        assert self.transport is not None
        self.transport.write(data)

    async def answer(self, head_only: bool = False) -> Answer:
        """Wait for a whole response and take it."""

        def look() -> Answer | None:
            answer = read_answer(self.received, closed=self.lost is not None, head_only=head_only)
            assert answer is not None or self.lost is None, f"closed after {self.received!r}"
            return answer

        answer = await self.until(look)
        assert isinstance(answer, Answer)
        self.received = answer.rest
        return answer

    async def ask(self, data: bytes) -> Answer:
        """Send a request and wait for its response."""
        self.send(data)
        return await self.answer(head_only=data.startswith(b"HEAD "))

    async def bytes(self, text: bytes) -> None:
        """Wait until ``text`` has come."""
        await self.until(lambda: True if text in self.received else None)

    async def closed(self) -> BaseException:
        """Wait for the end of the connection; the answer says how it ended."""
        await self.until(lambda: True if self.lost is not None else None)
        assert self.lost is not None
        return self.lost.value  # type: ignore[no-any-return]

    def abort(self) -> None:
        """Reset the connection."""
        assert self.transport is not None
        self.transport.abortConnection()


async def connect(port: int) -> Wire:
    """A connection to a port of the loopback."""
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    return await connectProtocol(endpoint, Wire())
