"""Message body framing (RFC 9112 section 6) and decoding of the chunked coding (section 7.1)."""

from __future__ import annotations

import enum
import re
import sys
from typing import NamedTuple

from sandbox.protocols.http1.grammar import (
    Fields,
    Malformed,
    RequestHead,
    ResponseHead,
    has_broken_line,
    parse_trailers,
    split_list,
)

# As many digits as fit into 63 bits, so that applications in C read the same number.
_MAX_LENGTH_DIGITS = 18
# chunk-size [ chunk-ext ] (RFC 9112 section 7.1.1): at most 15 hexadecimal digits; extensions are checked and ignored,
# within the line's limit.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;%b(?:=(?:%b|\"[\t !#-\[\]-~]*+\"))?)*+" % (_TOKEN, _TOKEN))
# A valid beginning of such a line, to check an incomplete one.
_CHUNK_LINE_BEGUN = re.compile(
    rb"[0-9A-Fa-f]{1,15}(?:;(?:%b(?:=(?:%b|\"[\t !#-\[\]-~]*+\"?)?)?)?)*+" % (_TOKEN, _TOKEN)
)

#: Maximum bytes of a chunk's size line, extensions included (CVE-2023-39326 in Go: unbounded extensions).
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 16 * 1024


class Coding(enum.Enum):
    """How a body is delimited."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Framing(NamedTuple):
    """A body's framing; ``length`` is its size in bytes where the coding is ``LENGTH``."""

    coding: Coding
    length: int = 0


# Module globals: before Python 3.12, looking up an enum's member costs more than comparing with it.
NONE, LENGTH, CHUNKS, CLOSE = Coding

NO_BODY = Framing(NONE)
CHUNKED = Framing(CHUNKS)
UNTIL_CLOSE = Framing(CLOSE)


def request_framing(head: RequestHead) -> Framing:
    """The framing of a request's body.

    :raises Malformed: when parsers could disagree (RFC 9112 section 6.3): both fields, a Transfer-Encoding other than
        one ``chunked``, or any Transfer-Encoding in HTTP/1.0.
    """
    return _framing(head, NO_BODY)


def response_framing(head: ResponseHead, method: bytes) -> Framing:
    """The framing of a response's body to a request of ``method`` (RFC 9112 section 6.3).

    :raises Malformed: as :func:`request_framing` does.
    """
    if method == b"HEAD" or head.status == 304:
        # The fields describe the response to a GET; contradictory ones are refused all the same.
        _framing(head, NO_BODY)
        return NO_BODY
    if head.status < 200 or head.status == 204:
        return NO_BODY
    return _framing(head, UNTIL_CLOSE)


def _framing(head: RequestHead | ResponseHead, otherwise: Framing) -> Framing:
    known = head.known
    length = known.get(b"content-length")
    coding = known.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            raise Malformed("Content-Length and Transfer-Encoding are both given")
        if coding.lower() != b"chunked" or head.minor == 0:
            raise Malformed("The Transfer-Encoding is not exactly chunked, in HTTP/1.1")
        return CHUNKED
    if length is None:
        return otherwise
    if not length.isdigit() or len(length) > _MAX_LENGTH_DIGITS:
        raise Malformed("The Content-Length is not a number")
    size = int(length)
    return Framing(LENGTH, size) if size else NO_BODY


def keeps_alive(head: RequestHead | ResponseHead) -> bool:
    """Whether the connection may carry another message after this one (RFC 9112 section 9.3).

    HTTP/1.0's ``Connection: keep-alive`` is honoured in responses, where it saves a connection, but not in requests.
    """
    connection = head.known.get(b"connection")
    if connection is None:
        return head.minor == 1
    if connection == b"keep-alive":
        return head.minor == 1 or isinstance(head, ResponseHead)
    options = split_list(connection)
    if b"close" in options:
        return False
    return head.minor == 1 or (isinstance(head, ResponseHead) and b"keep-alive" in options)


class LengthDecoder:
    """Incremental decoder of a body of known length; same interface as :class:`ChunkedDecoder`."""

    __slots__ = ("_left", "done", "rest", "trailers")
    behind = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = False
        self.trailers: Fields = []
        self.rest = b""

    def feed(self, data: bytes, limit: int = 1) -> list[bytes]:
        """The part of ``data`` that belongs to the body."""
        piece, self.rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        self.done = not self._left
        return [piece]


class ChunkedDecoder:
    """Incremental decoder of the chunked coding.

    :ivar behind: whether it holds undecoded bytes, after :meth:`feed` stopped at its limit.
    :ivar done: whether the last chunk and the trailer section have been read.
    :ivar trailers: the trailer fields, once done.
    :ivar rest: the bytes after the body's end, once done.
    """

    __slots__ = ("_buffer", "_in_trailers", "_left", "_searched", "behind", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0  # bytes of an incomplete trailer section, searched for its end and for broken lines
        self._left = 0  # missing bytes of the current chunk, its final CR LF (2) included
        self._in_trailers = False
        self.behind = False
        self.done = False
        self.trailers: Fields = []
        self.rest = b""

    def feed(self, data: bytes, limit: int = sys.maxsize) -> list[bytes]:
        """Decode ``data``; returns pieces of the body in order, none empty.

        :param limit: number of pieces after which it stops and is :attr:`behind`; feed ``b""`` to continue.
        :raises Malformed: when the coding is malformed, or a line is longer than its limit.
        """
        pieces: list[bytes] = []
        if self._buffer:
            data = self._buffer + data
            self._buffer = b""
        self.behind = False
        position, end = 0, len(data)
        while position < end and not self.done:
            if self._left:
                if len(pieces) >= limit:
                    self._buffer = data[position:]
                    self.behind = True
                    break
                position = self._take(data, position, pieces)
            elif self._in_trailers:
                position = self._finish(data, position)
            else:
                position = self._size(data, position)
            if position < 0:
                break
        return pieces

    def _take(self, data: bytes, position: int, pieces: list[bytes]) -> int:
        """Decode the available part of the current chunk and, after all of it, its CR LF."""
        wanted = self._left - 2
        available = len(data) - position
        if wanted > 0:
            piece = data[position : position + wanted]
            pieces.append(piece)
            position += len(piece)
            self._left -= len(piece)
            available -= len(piece)
        if self._left > 2 or not available:
            return position
        ending = data[position : position + self._left]
        if ending != b"\r\n"[2 - self._left : 2 - self._left + len(ending)]:
            raise Malformed("A chunk does not end with CR LF")
        self._left -= len(ending)
        return position + len(ending)

    def _size(self, data: bytes, position: int) -> int:
        end = data.find(b"\r\n", position, position + MAX_CHUNK_LINE + 2)
        if end < 0:
            if len(data) - position > MAX_CHUNK_LINE:
                raise Malformed("A chunk's size line is too long")
            # The incomplete line must be a valid beginning of one: a digit first, no bare CR or LF.
            self._buffer = data[position:]
            begun = self._buffer.removesuffix(b"\r")
            if begun and not _CHUNK_LINE_BEGUN.fullmatch(begun):
                raise Malformed("A chunk's size line is malformed")
            return -1
        line = _CHUNK_LINE.fullmatch(data, position, end)
        if line is None:
            raise Malformed("A chunk's size line is malformed")
        size = int(line[1], 16)
        if size:
            self._left = size + 2
        else:
            self._in_trailers = True
        return end + 2

    def _finish(self, data: bytes, position: int) -> int:
        if data.startswith(b"\r\n", position):
            end = position + 2
        else:
            searched = position + self._searched
            end = data.find(b"\r\n\r\n", max(position, searched - 3), position + MAX_TRAILERS) + 4
            if end < 4:
                if len(data) - position >= MAX_TRAILERS:
                    raise Malformed("The trailer section is too large")
                self._buffer = data[position:]
                if has_broken_line(self._buffer, self._searched):
                    raise Malformed("A trailer field's line does not end with CR LF, or holds NUL")
                self._searched = len(self._buffer)
                return -1
            self.trailers = parse_trailers(data[position:end])
        self.done = True
        self.rest = data[end:]
        return end


def decoder(framing: Framing) -> LengthDecoder | ChunkedDecoder:
    """Make the decoder of a framing, which is ``LENGTH`` or ``CHUNKED``."""
    return ChunkedDecoder() if framing.coding is CHUNKS else LengthDecoder(framing.length)


def chunk(data: bytes) -> bytes:
    """Encode ``data``, which must not be empty, as one chunk."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields = []) -> bytes:  # noqa: B006 - never written to
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n" + b"".join(b"%b: %b\r\n" % field for field in trailers) + b"\r\n"
