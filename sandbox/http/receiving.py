"""The reading side of a client's connection within a request: its body, as fast as somebody takes it."""

from __future__ import annotations

import enum

from sandbox.http.bodies import BodySink, Discard
from sandbox.http.connection import Connection
from sandbox.net.deadlines import NEVER
from sandbox.protocols.http1.framing import NONE, ChunkedDecoder, Framing, LengthDecoder, decoder
from sandbox.protocols.http1.grammar import Fields, Malformed

#: Seconds between two looks at a client that nothing is read from.
_LOOK = 1.0


class State(enum.Enum):
    """What the next byte from the client is."""

    HEAD = "a head"
    BODY = "body"
    WAIT = "kept until the response is complete"
    UPGRADED = "somebody else's"
    CLOSING = "dropped"


HEAD, BODY, WAIT, UPGRADED, CLOSING = State


class Receiver(Connection):
    """What request bodies are taken from; :class:`sandbox.http.channel.Channel` adds the reading of heads.

    :ivar bytes_in: of the request under way.
    """

    bytes_in = 0
    _state = HEAD
    _sink: BodySink | None = None
    _decoder: LengthDecoder | ChunkedDecoder | None = None
    _progress = 0
    _buffer = b""
    _paused = False

    def _expect_body(self, framing: Framing) -> None:
        if framing.coding is NONE:
            self._state = WAIT
        else:
            self._state = BODY
            self._decoder = decoder(framing)

    def deliver_body(self, sink: BodySink) -> None:
        """See :meth:`Request.stream_body`."""
        if self._state is not BODY:
            sink.body_ended([])
            return
        self._sink = sink
        self._progress = 0
        self.deadline = self._seconds() + self._limits.upload_timeout
        data, self._buffer = self._buffer, b""
        self._read_on()
        if data:
            self._receive(data)

    def pause_body(self) -> None:
        """See :meth:`Request.pause_body`."""
        if self._state is BODY:
            self._read_no_more()

    def resume_body(self) -> None:
        """See :meth:`Request.resume_body`."""
        if self._state is BODY:
            self.deadline = self._seconds() + self._limits.upload_timeout
            self._read_on()

    def _reading_deadline(self) -> float:
        if self._paused:
            return self._seconds() + _LOOK
        if self._state is not BODY:
            return NEVER
        return self._seconds() + self._limits.upload_timeout

    def _receive(self, data: bytes) -> None:
        sink, decoder = self._sink, self._decoder
        assert sink is not None
        assert decoder is not None
        self._progress += len(data)
        self.bytes_in += len(data)
        if self._progress >= sink.min_progress:
            self._progress = 0
            self.deadline = self._reading_deadline()
        try:
            pieces = decoder.feed(data)
        except Malformed as error:
            self._body_failed(error)
            return
        for piece in pieces:
            if self._sink is sink:
                sink.body_received(piece)
        if decoder.done:
            self._buffer = decoder.rest
            self.bytes_in -= len(decoder.rest)
            self._body_ended(sink, decoder.trailers)

    def _body_ended(self, sink: BodySink, trailers: Fields) -> None:
        if self._sink is not sink:
            return  # It has had enough, and answered.
        self._state = WAIT
        self._sink = self._decoder = None
        self.deadline = NEVER
        self._read_on()
        sink.body_ended(trailers)

    def _body_failed(self, error: Malformed) -> None:
        sink, self._sink = self._sink, Discard()
        if sink is not None:
            sink.body_failed(error)

    def _read_no_more(self) -> None:
        """Stop reading. The reactor then no longer tells when the client leaves: it has to be looked at."""
        self._paused = True
        self.deadline = self._seconds() + _LOOK
        self.transport.pauseProducing()

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self.transport.resumeProducing()
