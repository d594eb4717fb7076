"""A connection to an application in a container: one request at a time, responses parsed strictly (RFC 9112)."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import error
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from sandbox.domain.errors import PreviewMisbehaved, PreviewTimedOut, PreviewUnreachable, SandboxError
from sandbox.gateway.upstream.interfaces import Exchange, PoolCallbacks
from sandbox.http.upgrades import hand_over
from sandbox.net import write_coalescing
from sandbox.net.deadlines import NEVER
from sandbox.net.fairness import Intake
from sandbox.protocols.http1.framing import (
    CHUNKS,
    CLOSE,
    LENGTH,
    NONE,
    ChunkedDecoder,
    keeps_alive,
    response_framing,
)
from sandbox.protocols.http1.grammar import Fields, Malformed, ResponseHead, has_broken_line, parse_response_head

MAX_HEAD = 64 * 1024
MAX_FIELDS = 500
#: Maximum number of 1xx responses before the final one.
MAX_INTERIM = 32
# Chunks of a body that are decoded in one turn of the reactor: about half a millisecond's work when they are tiny.
_CHUNKS = 256
# Pieces of a head that are read at once; further ones are read at a limited rate.
_PIECES = 8


class Upstream(Protocol):
    """One connection, which the pool reuses for consecutive requests.

    :ivar reused: whether it has carried a request before.
    :ivar untouched: whether no byte of a response to the current request was received.
    :ivar closing: whether this side closes it: after a timeout, or because its destination was dropped.
    :ivar deadline: see :class:`sandbox.net.deadlines.Deadlines`: idle timeout, or response timeout during a request.
    """

    deadline = NEVER
    transport: Any
    reused = False
    untouched = True
    _exchange: Exchange | None = None
    _head: ResponseHead | None = None
    _decoder: ChunkedDecoder | None = None
    _coding = NONE
    _left = 0
    _interim = 0
    _buffer: bytes | bytearray = b""
    _searched = 0
    _pieces = 0
    closing = False
    _intake: Intake | None = None

    def __init__(self, pool: PoolCallbacks[Upstream]) -> None:
        self._pool = pool

    # Called by the pool and the exchange.

    def begin(self, exchange: Exchange, data: bytes) -> None:
        """Send a request's head; ``exchange`` receives the response."""
        self._exchange = exchange
        self.untouched = True
        self.deadline = self._pool.response_deadline()
        write_coalescing.write(self.transport, data)

    def send(self, data: bytes) -> None:
        """Send a piece of the request's body and restart the response timeout."""
        if self._head is None:
            self.deadline = self._pool.response_deadline()
        write_coalescing.write(self.transport, data)

    def abandon(self) -> None:
        """Discard the response and close at once."""
        self._exchange = None
        self.abort()

    def abort(self) -> None:
        """Close at once; :meth:`Exchange.broken` of a current exchange is called."""
        self._pool.forget(self)
        self.closing = True
        self._close_intake()
        self.transport.abortConnection()

    def pause(self) -> None:
        """Stop reading the response until :meth:`resume`."""
        self._made_intake().pause()

    def resume(self) -> None:
        """Continue to read the response."""
        if self._intake is not None:
            self._intake.resume()

    def stale(self) -> bool:
        """Whether the peer has closed it or sent data out of turn, which the reactor has not reported yet."""
        try:
            self.transport.socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            pass
        return True

    def upgrade(self, protocol: IProtocol) -> None:
        """Hand the connection over to ``protocol`` after a 101. The pool counts it until it is closed."""
        self._exchange = None
        self.deadline = NEVER
        hand_over(self, protocol)

    # Called by the transport.

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self._pool.connected(self)

    def dataReceived(self, data: bytes) -> None:
        if self._exchange is None:
            # Data without a request must not become the response to the next one.
            self.abort()
            return
        self.untouched = False
        try:
            if self._head is None:
                self._read_heads(data)
            else:
                self._read_body(data)
        except Malformed:
            self._fail(PreviewMisbehaved())

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._pool.lost(self)
        self._close_intake()
        while self._exchange is not None and self._decoder is not None and self._decoder.behind:
            self._catch_up()
        if self._exchange is None:
            return
        if self._coding is CLOSE and self._head is not None and reason.check(error.ConnectionDone):
            self._end([], [])
        elif self._head is None and self._buffer and not _may_be_http(self._buffer):
            self._break(PreviewMisbehaved())
        else:
            self._break(PreviewUnreachable())

    def expired(self, now: float) -> None:
        """The idle timeout or the response timeout has elapsed."""
        if self._exchange is not None:
            self._fail(PreviewTimedOut())
        else:
            self.abort()

    # Reading.

    def _read_heads(self, data: bytes | bytearray) -> None:
        """Parse heads up to the final one, then the first part of its body."""
        if self._buffer:
            # Not copied each time: a head may come byte by byte.
            self._buffer += data
            data = self._buffer
        while self._exchange is not None:
            end = data.find(b"\r\n\r\n", self._searched - 3 if self._searched > 3 else 0)
            if end < 0:
                if len(data) > MAX_HEAD or not _may_be_http(data, self._searched):
                    raise Malformed("The response's head is too large, or none")
                self._keep(data)
                return
            self._buffer, self._searched, self._pieces = b"", 0, 0
            head_bytes, data = bytes(data[: end + 4]), bytes(data[end + 4 :])
            if len(head_bytes) > MAX_HEAD:
                raise Malformed("The response's head is too large")
            head = parse_response_head(head_bytes, MAX_FIELDS)
            if head.status >= 200:
                self._respond(head, data)
                return
            self._take_interim(head, data)
            if not data:
                return

    def _keep(self, data: bytes | bytearray) -> None:
        """Buffer part of a head. A head in many pieces is read at a limited rate."""
        self._buffer = data if isinstance(data, bytearray) else bytearray(data)
        self._searched = len(data)
        self._pieces += 1
        if self._pieces > _PIECES:
            self._made_intake().rest()

    def _take_interim(self, head: ResponseHead, rest: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        self._interim += 1
        if head.status == 101:
            if not exchange.upgrading:
                raise Malformed("Unexpected 101: no upgrade was offered")
            exchange.switched(head, rest)
            return
        if self._interim > MAX_INTERIM:
            raise Malformed("Too many interim responses")
        self.deadline = self._pool.response_deadline()
        exchange.interim(head)

    def _respond(self, head: ResponseHead, data: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        framing = response_framing(head, exchange.method)
        self._head = head
        self._coding = framing.coding
        self.deadline = NEVER
        exchange.responded(head, framing)
        if framing.coding is LENGTH:
            self._left = framing.length
        elif framing.coding is CHUNKS:
            self._decoder = ChunkedDecoder()
        elif framing.coding is NONE:
            if self._exchange is exchange:
                self._end([], [], data)
            return
        if self._exchange is exchange:
            self._read_body(data)

    def _read_body(self, data: bytes) -> None:
        exchange = self._exchange
        assert exchange is not None
        if self._coding is LENGTH:
            left = self._left
            if len(data) < left:
                self._left = left - len(data)
                exchange.received([data] if data else [], None)
            elif len(data) == left:
                self._end([data], [])
            else:
                self._end([data[:left]], [], data[left:])
        elif self._decoder is not None:
            decoder = self._decoder
            pieces = decoder.feed(data, _CHUNKS)
            if decoder.done:
                self._end(pieces, decoder.trailers, decoder.rest)
            else:
                exchange.received(pieces, None)
                if decoder.behind and self._decoder is decoder:
                    self._made_intake().fall_behind()
        else:
            exchange.received([data] if data else [], None)

    def _catch_up(self) -> None:
        """Decode the chunks that were left for a later turn of the reactor."""
        if self._exchange is not None and self._decoder is not None:
            try:
                self._read_body(b"")
            except Malformed:
                self._fail(PreviewMisbehaved())

    def _close_intake(self) -> None:
        if self._intake is not None:
            self._intake.close()

    def _made_intake(self) -> Intake:
        if self._intake is None:
            self._intake = Intake(self._pool.run_queue, self.transport, self._catch_up)
        return self._intake

    # Ends.

    def _end(self, pieces: list[bytes], trailers: Fields, rest: bytes = b"") -> None:
        """The response is complete: release the connection first, so that the next request can take it."""
        exchange, head = self._exchange, self._head
        assert exchange is not None
        assert head is not None
        reusable = not rest and exchange.sent_all and self._coding is not CLOSE and keeps_alive(head)
        self._exchange = self._head = self._decoder = None
        self._interim = 0
        if reusable and not self.closing and self.transport.connected:
            self.reused = True
            if self._intake is not None:
                self._intake.resume()
            self._pool.release(self)
        else:
            self.abort()
        exchange.received(pieces, trailers)

    def _fail(self, error: SandboxError) -> None:
        self.abort()
        self._break(error)

    def _break(self, error: SandboxError) -> None:
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.broken(error)


def _may_be_http(data: bytes | bytearray, searched: int = 0) -> bool:
    begins_well = data.startswith(b"HTTP/1.") if len(data) >= 7 else b"HTTP/1.".startswith(data)
    return begins_well and not has_broken_line(data, searched)
