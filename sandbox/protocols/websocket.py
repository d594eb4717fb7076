"""Where the frames of a WebSocket begin and end (RFC 6455 section 5.2), found without decoding them."""

from __future__ import annotations

import sys

_CLOSE = 0x8
_FINAL_PONG = 0x8A
_MASKED = 0x80


class FrameTracker:
    """Follows one direction of an open WebSocket so that a relay can speak in it itself, between two frames.

    Payloads are never looked at, but for those of pongs while one is awaited. Bytes are passed on as they come; only
    an incomplete frame header (under 10 bytes) waits for its rest, and while a pong is awaited an incomplete pong.

    :ivar boundary: an offset into what :meth:`feed` returned last where no frame is under way, the last such one;
        ``None`` when all of it lies inside one frame.
    :ivar closing: whether a Close frame has begun; after it nothing may be sent in this direction (section 5.5.1).
    :ivar behind: whether it holds bytes that it has not looked at, because there were too many frames at once.
    :ivar empty: frames without a payload, ever; who counts them sets it back.
    :ivar awaited: the payload of the pong that answers our own ping and goes no further; empty when there is none.
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
        """Whether what was returned so far ends where a frame ends: the only place where another may begin."""
        return self._left == 0

    def feed(self, data: bytes, limit: int = sys.maxsize) -> bytes:
        """Account for the bytes that came; gives those to pass on now.

        :param limit: frames after which it stops and is :attr:`behind`; feed it ``b""`` to go on.
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
        """What still waits for its rest; nothing follows it, for the stream has ended."""
        rest, self._waiting = self._waiting, b""
        self._left += len(rest)  # a frame has begun that will not end
        return rest


def may_be_frames(data: bytes) -> bool:
    """Whether bytes behind a WebSocket handshake can be what a client may send there, and not another request.

    A client's frame has the mask bit (RFC 6455 section 5.1), which no byte of a request's line has.
    """
    return data[0] & 0x70 == 0 and (len(data) == 1 or data[1] >= _MASKED)


def _unmasked(data: bytes, start: int, end: int) -> bytes:
    """A payload without its mask, whose key stands right in front of it (section 5.3)."""
    return bytes(byte ^ data[start - 4 + index % 4] for index, byte in enumerate(data[start:end]))
