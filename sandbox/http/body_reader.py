"""Reader of one request's body: decodes the connection's bytes and passes them to a sink."""

from __future__ import annotations

from sandbox.http.bodies import BodySink, Discard
from sandbox.protocols.http1.framing import Framing, decoder
from sandbox.protocols.http1.grammar import Malformed

# Chunks decoded in one turn: about half a millisecond when they are tiny.
_CHUNKS = 256


class BodyReader:
    """Decodes a body and passes it to a sink. Independent of the connection and of time.

    :ivar sink: the consumer; ``None`` until it is attached.
    """

    __slots__ = ("_decoder", "_progress", "sink")

    def __init__(self, framing: Framing) -> None:
        self._decoder = decoder(framing)
        self._progress = 0
        self.sink: BodySink | None = None

    @property
    def behind(self) -> bool:
        """Whether undecoded input remains; feed ``b""`` to continue."""
        return self._decoder.behind

    @property
    def done(self) -> bool:
        """Whether the body is complete."""
        return self._decoder.done

    @property
    def rest(self) -> bytes:
        """The bytes after the body."""
        return self._decoder.rest

    def progresses(self, size: int) -> bool:
        """Count arrived bytes; whether they reach the minimum for the current period of the upload timeout."""
        self._progress += size
        if self.sink is None or self._progress < self.sink.min_progress:
            return False
        self._progress = 0
        return True

    def feed(self, data: bytes) -> None:
        """Decode bytes within the budget of one turn of the reactor, and pass the body to the sink."""
        try:
            pieces = self._decoder.feed(data, _CHUNKS)
        except Malformed as error:
            self.fail(error)
            return
        if pieces and self.sink is not None:
            # Join the pieces: tiny chunks must not cause a write each.
            self.sink.body_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def end(self) -> None:
        """Report the end of the body to the sink."""
        if self.sink is not None:
            self.sink.body_ended(self._decoder.trailers)

    def fail(self, error: Malformed) -> None:
        """Report the failure of the body to the sink."""
        sink, self.sink = self.sink, Discard()
        if sink is not None:
            sink.body_failed(error)
