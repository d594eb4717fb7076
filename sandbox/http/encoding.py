"""Incremental JSON encoding of responses: a long one is never held whole in memory and never blocks the reactor.

Two kinds of values beyond JSON's are encoded lazily: ``bytes`` are UTF-8 text, with invalid bytes replaced by U+FFFD,
and an iterator is an array of its items.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from json.encoder import encode_basestring
from typing import Any

#: Bytes of a text, and approximately of an array, encoded at once. Their JSON may be six times as long.
SLICE = 32 * 1024
# Members of an array that are encoded together: each call of the encoder costs as much as two entries of a directory.
_MEMBERS = 8


def encode(payload: Mapping[str, Any] | Sequence[Any]) -> Iterator[bytes]:
    """A JSON object or array in UTF-8, in pieces; names that are no text keep their surrogates as ``\\uDCxx`` escapes.

    >>> b"".join(encode({"exitCode": 0, "stdout": b"ok \\xff", "entries": iter([1, 2]), "name": "\\udcff"}))
    b'{"exitCode": 0, "stdout": "ok \\xef\\xbf\\xbd", "entries": [1, 2], "name": "\\\\udcff"}'
    """
    if not isinstance(payload, Mapping) or not any(isinstance(one, bytes | Iterator) for one in payload.values()):
        yield _whole(payload)
        return
    waiting, size = [], 0
    for part in _parts(payload):
        waiting.append(part)
        size += len(part)
        if size >= SLICE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def _parts(payload: Mapping[str, Any]) -> Iterator[bytes]:
    before = b"{"
    for name, value in payload.items():
        yield b"%b%b: " % (before, _whole(name))
        if isinstance(value, bytes):
            yield from _text(value)
        elif isinstance(value, Iterator):
            yield from _array(value)
        else:
            yield _whole(value)
        before = b", "
    yield b"}"


def _whole(value: Any) -> bytes:
    try:
        return json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return json.dumps(value).encode("ascii")


def _text(value: bytes) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    yield b'"'
    for start in range(0, len(value), SLICE):
        text = decoder.decode(value[start : start + SLICE], start + SLICE >= len(value))
        yield encode_basestring(text)[1:-1].encode("utf-8")
    yield b'"'


def _array(values: Iterator[Any]) -> Iterator[bytes]:
    before = b""
    yield b"["
    while members := list(islice(values, _MEMBERS)):
        yield before + _whole(members)[1:-1]
        before = b", "
    yield b"]"
