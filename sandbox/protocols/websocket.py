"""Tracking of WebSocket frame boundaries (RFC 6455 section 5.2), without decoding the frames."""

from __future__ import annotations

import sys

_CLOSE = 0x8
_FINAL_PONG = 0x8A
_MASKED = 0x80


class FrameTracker:
    """Tracks one direction of an open WebSocket, so that a relay can insert frames of its own.

    Payloads are not inspected, except of pongs while one is awaited. Bytes are returned as they arrive; only an
    incomplete frame header (under 10 bytes) is held back, and an incomplete pong while one is awaited.

    :ivar boundary: the last offset between two frames in the result of the last :meth:`feed`; ``None`` when all of it
        is inside one frame.
    :ivar closing: whether a Close frame has begun; no frame may follow it in this direction (section 5.5.1).
    :ivar behind: whether it holds unread bytes, after :meth:`feed` stopped at its limit.
    :ivar empty: number of frames without a payload, until the caller resets it.
    :ivar awaited: the payload of our own ping, whose pong is not relayed; empty when there is none.
    """

    __slots__ = ("_left", "_waiting", "awaited", "behind", "boundary", "closing", "empty")

    def __init__(self) -> None:
        self._waiting = b""
        self._left = 0
        self.boundary: int | None = 0
        self.closing = False
        self.behind = False
        self.empty = 0
        self.awaited = b""

    @property
    def between(self) -> bool:
        """Whether the returned bytes end with a complete frame, so that another frame may be inserted."""
        return self._left == 0

    def feed(self, data: bytes, limit: int = sys.maxsize) -> bytes:
        """Track received bytes; returns those to relay now.

        :param limit: number of frames after which it stops and is :attr:`behind`; feed ``b""`` to continue.
        """
        if self._waiting:
            data = self._waiting + data
            self._waiting = b""
        end = len(data)
        at = self._left
        self.behind = False
        if at > end:
            self._left = at - end
            self.boundary = None
            return data
        boundary = at
        empty = 0
        while at + 2 <= end and limit > 0:
            boundary = at
            second = data[at + 1]
            length = second & 0x7F
            payload = at + 2
            if length > 125:
                payload += 2 if length == 126 else 8
                if payload > end:
                    break
                length = int.from_bytes(data[at + 2 : payload], "big")
            if second & _MASKED:
                payload += 4
            after = payload + length
            if self.awaited and data[at] == _FINAL_PONG and second == _MASKED | len(self.awaited):
                if after > end:
                    break
                if _unmasked(data, payload, after) == self.awaited:
                    data = data[:at] + data[after:]
                    end = len(data)
                    self.awaited = b""
                    limit -= 1
                    empty += not length
                    continue
            limit -= 1
            empty += not length
            if data[at] & 0x0F == _CLOSE:
                self.closing = True
            at = after
        self.empty += empty
        self.behind = limit <= 0 and at + 2 <= end
        if at > end:
            self._left = at - end
        else:
            self._left = 0
            self._waiting = data[at:]
            data = data[:at] if self._waiting else data
            boundary = at
        self.boundary = boundary
        return data

    def flush(self) -> bytes:
        """The held back bytes at the end of the stream."""
        rest, self._waiting = self._waiting, b""
        self._left += len(rest)  # they begin a frame that stays incomplete
        return rest


def may_be_frames(data: bytes | bytearray) -> bool:
    """Whether bytes after a WebSocket handshake can be a client's frames, and not another request.

    A client's frame has the mask bit (RFC 6455 section 5.1), which no byte of a request line has.
    """
    return data[0] & 0x70 == 0 and (len(data) == 1 or data[1] >= _MASKED)


def _unmasked(data: bytes, start: int, end: int) -> bytes:
    """Unmask a payload; the masking key is in the four bytes before it (section 5.3)."""
    return bytes(byte ^ data[start - 4 + index % 4] for index, byte in enumerate(data[start:end]))
