"""Answers as JSON, made in pieces, so that a long one is never whole in memory and never makes others wait.

Two kinds of values, which JSON itself has not, are made only while they are written: ``bytes`` are text in UTF-8, in
which U+FFFD stands for what is none, and an iterator is an array of what it gives.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

#: Bytes of a text, and about as many of an array, that are encoded at once. In JSON they may be six times as many.
SLICE = 32 * 1024


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
    for value in values:
        yield before + _whole(value)
        before = b", "
    yield b"]"
