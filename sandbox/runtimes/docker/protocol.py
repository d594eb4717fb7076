"""What the daemon and the agent in a container say to each other; ``agent/agent.h`` is the other end.

A frame is a u32 payload length, a u32 request id, a u8 type and the payload; numbers are big-endian. Nothing that
comes from a container is trusted: lengths are bounded and every field is checked before it is used.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence

import attrs

from sandbox.domain.model import Entry, EntryType

VERSION = 2

#: Bytes of a request's payload that the agent takes.
MAX_REQUEST = 4 << 20
#: Bytes of a reply's payload: the agent writes whole frames into a pipe, which keeps 4096 bytes together.
MAX_REPLY = 4096 - 9

# Requests.
HELLO, EXEC, KILL, STAT, READ, LIST, WRITE, DATA, COMMIT = b"HXKSRLWDC"

# Replies.
GREETING, STDOUT, STDERR, EXIT, METADATA, ENTRIES, CONTENT, DONE, FAILURE = b"hoexsndzf"

_HEADER = struct.Struct(">IIB")
_METADATA = struct.Struct(">BQqi")
_EXIT = struct.Struct(">BBBIQ")
_FAILURE = struct.Struct(">BI")
#: The same, and the length of the name that follows.
_NAMED = struct.Struct(">BQqiH")
_TYPES = dict(zip(b"fdlo", (EntryType.FILE, EntryType.DIRECTORY, EntryType.SYMLINK, EntryType.OTHER), strict=True))

#: Pieces in which content is sent.
_PIECE = 64 << 10

#: Upper bounds of fields that Linux bounds itself. An agent that exceeds one lies, and its stream is closed.
_MAX_ERROR = 4095
_MAX_STAGE = 5
_MAX_SIGNAL = 64
_MAX_EXIT_CODE = 255
_MAX_FLAGS = 15
_MAX_PROCESSES = 1 << 22
_MAX_SIZE = (1 << 63) - 1
#: 285 years; of a command's duration the daemon believes no more than it measured itself.
_MAX_DURATION_US = 1 << 53


class ProtocolError(ValueError):
    """The other end does not speak this protocol, or breaks it."""


def frame(request_id: int, kind: int, payload: bytes = b"") -> bytes:
    """One frame.

    :raises ProtocolError: when the payload is larger than the agent takes.
    """
    if len(payload) > MAX_REQUEST:
        raise ProtocolError("the request is too large")
    return _HEADER.pack(len(payload), request_id, kind) + payload


def _text(value: bytes) -> bytes:
    # The NUL behind it lets the agent use the text where it stands.
    return struct.pack(">I", len(value)) + value + b"\0"


def _texts(values: Iterable[bytes]) -> bytes:
    texts = [_text(value) for value in values]
    return struct.pack(">I", len(texts)) + b"".join(texts)


def hello(user: str, *, lease: int, set_home: bool, groups: Sequence[str] = ()) -> bytes:
    """The first request's payload.

    :param user: the container's configured user, as in ``Config.User``.
    :param lease: seconds of silence after which an agent with nothing to do ends by itself; 0 is for ever.
    :param set_home: whether ``HOME`` is the user's home, because the container's environment does not set it.
    :param groups: further groups, by name or number, as in ``HostConfig.GroupAdd``.
    """
    return struct.pack(">BIB", VERSION, lease, set_home) + _text(user.encode()) + _texts(map(str.encode, groups))


def execution(
    argv: Sequence[bytes],
    cwd: bytes,
    env: Sequence[bytes],
    *,
    timeout_ms: int,
    grace_ms: int,
    kill_ms: int,
    output_limit: int,
) -> bytes:
    """The payload of EXEC: ``env`` are ``NAME=value`` texts that are set over the container's environment."""
    head = struct.pack(">IIIQ", timeout_ms, grace_ms, kill_ms, output_limit)
    return head + _text(cwd) + _texts(argv) + _texts(env)


def stat(path: bytes) -> bytes:
    """The payload of STAT."""
    return _text(path)


def read(path: bytes, limit: int) -> bytes:
    """The payload of READ, for at most ``limit`` bytes."""
    return struct.pack(">Q", limit) + _text(path)


def listing(path: bytes, limit: int) -> bytes:
    """The payload of LIST, for at most ``limit`` entries."""
    return struct.pack(">I", limit) + _text(path)


def write(request_id: int, path: bytes, content: bytes) -> Iterator[bytes]:
    """The frames that make a whole write: WRITE, DATA for each piece, COMMIT."""
    yield frame(request_id, WRITE, struct.pack(">Q", len(content)) + _text(path))
    for start in range(0, len(content), _PIECE):
        yield frame(request_id, DATA, content[start : start + _PIECE])
    yield frame(request_id, COMMIT)


@attrs.frozen
class Exit:
    """How a command ended.

    :ivar status: its exit code, or the number of the signal when ``signalled``.
    :ivar survivors: processes that were still there when the time for killing them was up.
    """

    signalled: bool
    status: int
    timed_out: bool
    killed: bool
    oom: bool
    truncated: bool
    survivors: int
    duration_us: int


@attrs.frozen
class Refusal:
    """Why a request failed: at which stage, and an errno or one of the agent's own numbers (see ``refusals``)."""

    stage: int
    error: int


def parse_exit(payload: bytes) -> Exit:
    """EXIT's payload.

    :raises ProtocolError: when it is none.
    """
    signalled, status, flags, survivors, duration_us = _unpack(_EXIT, payload)
    _check("signalled", signalled, 0, 1)
    _check("status", status, *((1, _MAX_SIGNAL) if signalled else (0, _MAX_EXIT_CODE)))
    _check("flags", flags, 0, _MAX_FLAGS)
    _check("survivors", survivors, 0, _MAX_PROCESSES)
    _check("duration", duration_us, 0, _MAX_DURATION_US)
    return Exit(
        signalled=bool(signalled),
        status=status,
        timed_out=bool(flags & 1),
        killed=bool(flags & 2),
        oom=bool(flags & 4),
        truncated=bool(flags & 8),
        survivors=survivors,
        duration_us=duration_us,
    )


def parse_refusal(payload: bytes) -> Refusal:
    """FAILURE's payload.

    :raises ProtocolError: when it is none.
    """
    stage, error = _unpack(_FAILURE, payload)
    _check("stage", stage, 0, _MAX_STAGE)
    _check("error", error, 1, _MAX_ERROR)
    return Refusal(stage, error)


def parse_metadata(payload: bytes) -> Entry:
    """METADATA's payload.

    :raises ProtocolError: when it is none.
    """
    return _entry(b"", *_unpack(_METADATA, payload))


def _entry(name: bytes, kind: int, size: int, seconds: int, nanoseconds: int) -> Entry:
    found = _TYPES.get(kind)
    if found is None:
        raise ProtocolError("no type of an entry")
    _check("size", size, 0, _MAX_SIZE)
    # gVisor counts them back from the second for a time before 1970.
    _check("nanoseconds", nanoseconds, -(10**9) + 1, 10**9 - 1)
    return Entry(name=name, type=found, size=size, modified_ns=seconds * 10**9 + nanoseconds)


def parse_entries(payload: bytes) -> Iterator[Entry]:
    """ENTRIES' payload.

    :raises ProtocolError: when it is none.
    """
    at = 0
    while at < len(payload):
        try:
            kind, size, seconds, nanoseconds, length = _NAMED.unpack_from(payload, at)
        except struct.error:
            raise ProtocolError("a field is cut short") from None
        at += _NAMED.size
        name = payload[at : at + length]
        at += length
        if not name or len(name) != length or b"/" in name or b"\0" in name or name in (b".", b".."):
            raise ProtocolError("no name of an entry")
        yield _entry(name, kind, size, seconds, nanoseconds)


def _check(field: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ProtocolError(f"{field} is out of range")


def _unpack(layout: struct.Struct, payload: bytes) -> tuple[int, ...]:
    try:
        return layout.unpack(payload)
    except struct.error:
        raise ProtocolError("a field is cut short") from None


class ReplyParser:
    """Takes a stream of replies apart, however it was cut; holds at most one unfinished frame."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """The frames that are complete now: request id, type and payload.

        :raises ProtocolError: at a frame that is longer than the agent's.
        """
        data = self._held + data
        at = 0
        while len(data) - at >= _HEADER.size:
            size, request_id, kind = _HEADER.unpack_from(data, at)
            if size > MAX_REPLY:
                raise ProtocolError("a reply is too long")
            end = at + _HEADER.size + size
            if end > len(data):
                break
            yield request_id, kind, data[at + _HEADER.size : end]
            at = end
        self._held = data[at:]
