"""Docker's multiplexed stream: stdout and stderr of an attached exec on one connection.

Each frame is a header of 8 bytes (stream number, three zeros, length as a big-endian u32) and that many bytes
(Docker Engine API, "Attach to a container", stream format).
"""

from __future__ import annotations

from collections.abc import Iterator

STDOUT = 1
STDERR = 2

_HEADER = 8


class FrameError(ValueError):
    """The data is not Docker's multiplexed stream."""


class StreamDemultiplexer:
    """Incremental demultiplexer; buffers at most an incomplete header."""

    def __init__(self) -> None:
        self._header = b""
        self._stream = 0
        self._left = 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The pieces of payload in ``data``, each with its stream's number; frames are not joined.

        A frame without a payload yields an empty piece, so that the caller can account for its cost.

        :raises FrameError: when a header is malformed.
        """
        at = 0
        while at < len(data):
            if self._left == 0:
                missing = _HEADER - len(self._header)
                self._header += data[at : at + missing]
                at += missing
                if len(self._header) == _HEADER:
                    self._begin(self._header)
                    self._header = b""
                    if not self._left:
                        yield self._stream, b""
                continue
            piece = data[at : at + self._left]
            at += len(piece)
            self._left -= len(piece)
            yield self._stream, piece

    def _begin(self, header: bytes) -> None:
        if header[0] not in (0, STDOUT, STDERR) or header[1:4] != b"\0\0\0":
            raise FrameError(f"no header of a stream: {header!r}")
        self._stream = header[0]
        self._left = int.from_bytes(header[4:], "big")
