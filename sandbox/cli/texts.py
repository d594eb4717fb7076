"""Formatting of output: escaping for terminals, columns, and values as JSON. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import attrs

#: Control characters (C0, DEL, C1), characters that change the text direction, and lone surrogates.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """Escape a text from a container or the daemon, so that a terminal interprets none of it.

    >>> print(visible("a\\x1b[2Jb"))
    a\\x1b[2Jb
    """
    return _UNSAFE.sub(lambda found: ascii(found[0])[1:-1], text)


def columns(rows: Sequence[Sequence[str]], header: Sequence[str]) -> str:
    """Format rows in aligned columns; the last column is not padded.

    >>> print(columns([["a", "bb"]], ["NAME", "X"]))
    NAME  X
    a     bb
    """
    every = [list(header), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(len(row[place]) for row in every) for place in range(len(header) - 1)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]) for row in every
    ]
    return "\n".join(lines)


def pairs(fields: Mapping[str, str | None]) -> str:
    """Format names and values, one per line; omits ``None``."""
    known = {name: visible(value) for name, value in fields.items() if value is not None}
    width = max(map(len, known), default=0)
    return "\n".join(f"{name.ljust(width)}  {value}" for name, value in known.items())


def moment(value: datetime) -> str:
    """Format a time in the local time zone, to the second."""
    return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def jsonable(value: Any) -> Any:
    """Convert a value of the client for JSON, with the API's field names; omits ``None``.

    >>> from sandbox.client import ExecResult
    >>> jsonable(ExecResult(exit_code=0, stdout="x", stderr="", duration_ms=1, truncated=False))["exitCode"]
    0
    """
    if attrs.has(type(value)):
        fields = ((_camel(field.name), getattr(value, field.name)) for field in attrs.fields(type(value)))
        return {name: jsonable(one) for name, one in fields if one is not None}
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, Mapping):
        return {name: jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    return value


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)
