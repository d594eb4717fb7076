"""The reading side of a client's connection within a request: its body, as fast as somebody takes it."""

from __future__ import annotations

import enum

from sandbox.http.bodies import BodySink, Discard
from sandbox.http.connection import Connection
from sandbox.net.deadlines import NEVER
from sandbox.net.fairness import Intake
from sandbox.protocols.http1.framing import NONE, ChunkedDecoder, Framing, LengthDecoder, decoder
from sandbox.protocols.http1.grammar import Fields, Malformed

#: Seconds between two looks at a client that nothing is read from.
_LOOK = 1.0
# Chunks of a body that are taken at once: about half a millisecond's work when they are tiny.
_CHUNKS = 256


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
    _intake: Intake | None = None

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

    @property
    def _paused(self) -> bool:
        return self._intake is not None and not self._intake.reading

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
            pieces = decoder.feed(data, _CHUNKS)
        except Malformed as error:
            self._body_failed(error)
            return
        if pieces:
            # Whoever sends a byte a chunk does not have each of them carried on by itself.
            sink.body_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if decoder.done:
            self._buffer = decoder.rest
            self.bytes_in -= len(decoder.rest)
            self._body_ended(sink, decoder.trailers)
        elif decoder.behind and self._decoder is decoder:
            self._fall_behind()

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
        self._made_intake().pause()
        self.deadline = self._seconds() + _LOOK

    def _read_on(self) -> None:
        if self._intake is not None:
            self._intake.resume()

    def _fall_behind(self) -> None:
        """Leave the rest of what was read to later turns, and read nothing more until then."""
        self._made_intake().fall_behind()
        self.deadline = self._seconds() + _LOOK

    def _made_intake(self) -> Intake:
        if self._intake is None:
            self._intake = Intake(self.site.run_queue, self.transport, self._catch_up)
        return self._intake

    def _catch_up(self) -> None:
        """Go on with what was read and left."""
        if self._state is BODY and self._sink is not None:
            self.deadline = self._seconds() + self._limits.upload_timeout
            self._receive(b"")
