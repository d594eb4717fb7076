"""Incremental reader of request heads."""

from __future__ import annotations

import re

from sandbox.protocols.http1.grammar import Malformed, check_partial_head, head_too_large, uri_too_long

#: Empty lines before a request that are skipped: some old clients send one after a body without counting it.
MAX_EMPTY_LINES = 16

# One more than that is enough to refuse them.
_EMPTY_LINES = re.compile(rb"(?:\r\n){1,%d}+" % (MAX_EMPTY_LINES + 1))


class HeadReader:
    """Splits request heads from a connection's bytes; scans each byte once.

    :param max_line: maximum bytes of the request line; 414 beyond.
    :param max_head: maximum bytes of the whole head; 431 beyond.
    :ivar searched: number of scanned bytes of an incomplete head.
    :ivar pieces: number of pieces in which those were received.
    """

    __slots__ = ("_empty_lines", "_max_head", "_max_line", "pieces", "searched")

    def __init__(self, max_line: int, max_head: int) -> None:
        self._max_line = max_line
        self._max_head = max_head
        self.searched = self.pieces = 0
        self._empty_lines = 0

    def take(self, data: bytes | bytearray) -> tuple[bytes, bytes | bytearray]:
        """Split ``data`` into its first head and the rest; the head is ``b""`` while it is incomplete.

        Leading empty lines are skipped (RFC 9112 section 2.2).

        :param data: the rest of the last call, followed by new bytes.
        :raises Malformed: as soon as no continuation makes the head valid, or when it exceeds a limit.
        """
        if data.startswith(b"\r\n"):
            data = self._without_empty_lines(data)
        end = data.find(b"\r\n\r\n", self.searched - 3 if self.searched > 3 else 0) + 4
        if end < 4:
            if data:
                check_partial_head(data, self._max_line, self.searched)
                if len(data) > self._max_head:
                    raise head_too_large()
            self.searched = len(data)
            self.pieces += 1
            return b"", data
        self.searched = self.pieces = self._empty_lines = 0
        head = bytes(data[:end])
        if end > self._max_line and head.find(b"\r\n") > self._max_line:
            raise uri_too_long()
        if end > self._max_head:
            raise head_too_large()
        return head, bytes(data[end:])

    def _without_empty_lines(self, data: bytes | bytearray) -> bytes | bytearray:
        match = _EMPTY_LINES.match(data)
        assert match is not None
        self.searched = self.pieces = 0
        self._empty_lines += match.end() // 2
        if self._empty_lines > MAX_EMPTY_LINES:
            raise Malformed("Too many empty lines before a request")
        return data[match.end() :]
