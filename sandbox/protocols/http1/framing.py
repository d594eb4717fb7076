"""How long a message's body is (RFC 9112 section 6), and the reading of the chunked coding (section 7.1)."""

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

# As many digits as fit into 63 bits: whoever counts in C agrees on the number.
_MAX_LENGTH_DIGITS = 18
# chunk-size [ chunk-ext ] (RFC 9112 section 7.1.1): 15 hexadecimal digits hold any size; extensions are names and
# values, ignored, within the line's limit.
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
_CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;%b(?:=(?:%b|\"[\t !#-\[\]-~]*+\"))?)*+" % (_TOKEN, _TOKEN))
# What a good line may begin with, so that half a line can be judged.
_CHUNK_LINE_BEGUN = re.compile(
    rb"[0-9A-Fa-f]{1,15}(?:;(?:%b(?:=(?:%b|\"[\t !#-\[\]-~]*+\"?)?)?)?)*+" % (_TOKEN, _TOKEN)
)

#: Bytes of a chunk's size line, extensions included (Go's CVE-2023-39326: unbounded ones made servers read for ever).
MAX_CHUNK_LINE = 1024
MAX_TRAILERS = 16 * 1024


class Coding(enum.Enum):
    """How a body's end is found."""

    NONE = "none"
    LENGTH = "length"
    CHUNKED = "chunked"
    CLOSE = "close"


class Framing(NamedTuple):
    """How a body is delimited; ``length`` counts its bytes where the coding is ``LENGTH``."""

    coding: Coding
    length: int = 0


# Looking a member up in its class is what it costs to compare with one, before Python 3.12.
NONE, LENGTH, CHUNKS, CLOSE = Coding

NO_BODY = Framing(NONE)
CHUNKED = Framing(CHUNKS)
UNTIL_CLOSE = Framing(CLOSE)


def request_framing(head: RequestHead) -> Framing:
    """The framing of a request's body.

    :raises Malformed: for anything that RFC 9112 section 6.3 lets two parsers read differently: both fields, a
        Transfer-Encoding other than one ``chunked``, or either in a way that HTTP/1.0 does not know.
    """
    return _framing(head, NO_BODY)


def response_framing(head: ResponseHead, method: bytes) -> Framing:
    """The framing of a response's body to a request of ``method`` (RFC 9112 section 6.3).

    :raises Malformed: as :func:`request_framing` does.
    """
    if method == b"HEAD" or head.status == 304:
        # The fields describe what a GET would have brought; contradictions in them are refused all the same.
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

    HTTP/1.0's ``Connection: keep-alive`` is taken from servers, where it saves connecting, and from nobody else.
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
    """Takes the bytes of a body of known length in any pieces; the same interface as :class:`ChunkedDecoder`."""

    __slots__ = ("_left", "done", "rest", "trailers")
    behind = False

    def __init__(self, length: int) -> None:
        self._left = length
        self.done = False
        self.trailers: Fields = []
        self.rest = b""

    def feed(self, data: bytes, limit: int = 1) -> list[bytes]:
        """The piece of the body that ``data`` begins with."""
        piece, self.rest = data[: self._left], data[self._left :]
        self._left -= len(piece)
        self.done = not self._left
        return [piece]


class ChunkedDecoder:
    """Takes chunked bytes in any pieces and gives the data they carry. Pure: it holds bytes and counts.

    :ivar behind: whether it holds bytes that it has not looked at, because there were too many chunks at once.
    :ivar done: whether the last chunk and the trailer section have been read.
    :ivar trailers: the trailer fields, once done.
    :ivar rest: what came after the end, once done.
    """

    __slots__ = ("_buffer", "_in_trailers", "_left", "_searched", "behind", "done", "rest", "trailers")

    def __init__(self) -> None:
        self._buffer = b""
        self._searched = 0  # bytes of an unfinished trailer section that hold neither its end nor a broken line
        self._left = 0  # bytes of the current chunk that are missing, its final CR LF (2) counted
        self._in_trailers = False
        self.behind = False
        self.done = False
        self.trailers: Fields = []
        self.rest = b""

    def feed(self, data: bytes, limit: int = sys.maxsize) -> list[bytes]:
        """The pieces of data in ``data``, in order, none empty.

        :param limit: pieces after which it stops and is :attr:`behind`; feed it ``b""`` to go on.
        :raises Malformed: when it is not the chunked coding, or a line is longer than its limit.
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
        """Pass on what there is of the current chunk; when all of it is there, its CR LF too."""
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
            # What there is of the line must be the beginning of one: a digit first, no bare CR or LF.
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
    """What reads a body of this framing, which is ``LENGTH`` or ``CHUNKED``."""
    return ChunkedDecoder() if framing.coding is CHUNKS else LengthDecoder(framing.length)


def chunk(data: bytes) -> bytes:
    """One chunk that carries ``data``, which must not be empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields = []) -> bytes:  # noqa: B006 - never written to
    """The end of a chunked body."""
    if not trailers:
        return b"0\r\n\r\n"
    return b"0\r\n" + b"".join(b"%b: %b\r\n" % field for field in trailers) + b"\r\n"
