"""The reading of one request's body: from the connection's bytes to whoever takes it."""

from __future__ import annotations

from sandbox.http.bodies import BodySink, Discard
from sandbox.protocols.http1.framing import Framing, decoder
from sandbox.protocols.http1.grammar import Malformed

# Chunks that are taken at once: about half a millisecond's work when they are tiny.
_CHUNKS = 256


class BodyReader:
    """Decodes a body and hands it on. It knows nothing of the connection, nor of time.

    :ivar sink: who takes it; ``None`` until somebody does.
    """

    __slots__ = ("_decoder", "_progress", "sink")

    def __init__(self, framing: Framing) -> None:
        self._decoder = decoder(framing)
        self._progress = 0
        self.sink: BodySink | None = None

    @property
    def behind(self) -> bool:
        """Whether there is more to decode in what it was fed; feed it ``b""`` to go on."""
        return self._decoder.behind

    @property
    def done(self) -> bool:
        """Whether the body has been read to its end."""
        return self._decoder.done

    @property
    def rest(self) -> bytes:
        """What came behind the body."""
        return self._decoder.rest

    def progresses(self, size: int) -> bool:
        """Account for bytes that came; whether they make as many as each period of the upload timeout has to bring."""
        self._progress += size
        if self.sink is None or self._progress < self.sink.min_progress:
            return False
        self._progress = 0
        return True

    def feed(self, data: bytes) -> None:
        """Decode bytes, as many as one turn of the reactor has room for, and hand the body on."""
        try:
            pieces = self._decoder.feed(data, _CHUNKS)
        except Malformed as error:
            self.fail(error)
            return
        if pieces and self.sink is not None:
            # Whoever sends a byte a chunk does not have each of them carried on by itself.
            self.sink.body_received(pieces[0] if len(pieces) == 1 else b"".join(pieces))

    def end(self) -> None:
        """Say that all of it has come."""
        if self.sink is not None:
            self.sink.body_ended(self._decoder.trailers)

    def fail(self, error: Malformed) -> None:
        """Say that no more of it will come."""
        sink, self.sink = self.sink, Discard()
        if sink is not None:
            sink.body_failed(error)
