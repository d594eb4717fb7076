"""Log formats: one line per event, as text or as a JSON object. Lines are bounded, and values cannot inject lines."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from twisted.logger import LogEvent, formatEvent
from twisted.python.failure import Failure
from twisted.python.reflect import qual

from sandbox.net.log_context import Origin

#: Maximum characters of a message, of a field's value, and of a traceback.
MESSAGE, VALUE, TRACEBACK = 4096, 1024, 16_384
#: Maximum number of fields of an event's own.
FIELDS = 32

_RESERVED = frozenset({"time", "level", "logger", "message", "request_id", "session", "failure"})
# Keys that twisted.python.log adds to an event beside those that begin with "log_".
_LEGACY = frozenset({"message", "time", "system", "isError", "format", "failure", "why", "printed"})


def cut(text: str, limit: int) -> str:
    """Truncate a text to ``limit`` characters in its middle, and insert the number of missing ones.

    >>> cut("0123456789", 4)
    '01…[6 cut]…89'
    """
    missing = len(text) - limit
    if missing <= 0:
        return text
    end = limit // 2
    return f"{text[: limit - end]}…[{missing} cut]…{text[len(text) - end :]}"


def one_line(text: str) -> str:
    """Escape control characters, so that a text cannot control a terminal or start another line.

    >>> one_line("a\\nb\\x1b[2J")
    'a\\\\nb\\\\x1b[2J'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def json_line(event: LogEvent, origin: Origin | None) -> bytes:
    """Format an event as a JSON object: ASCII, ends with a newline."""
    line: dict[str, Any] = {
        "time": _time(event),
        "level": _level(event),
        "logger": _logger(event),
        "message": cut(formatEvent(event), MESSAGE),
    }
    name, session_id = origin or (b"", "")
    if request_id := _text(event.get("request_id")) or name.decode("ascii"):
        line["request_id"] = request_id
    if session_id := _text(event.get("session")) or session_id:
        line["session"] = session_id
    line.update(_fields(event))
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        line["failure"] = {
            "type": qual(type(failure.value)),
            "message": cut(failure.getErrorMessage(), MESSAGE),
            "traceback": cut(failure.getTraceback(), TRACEBACK),
        }
    return json.dumps(line, separators=(", ", ": ")).encode("ascii") + b"\n"


def text_line(event: LogEvent, origin: Origin | None) -> bytes:
    """Format an event as text: UTF-8, ends with a newline. A traceback follows, with its lines indented."""
    message = one_line(cut(formatEvent(event), MESSAGE))
    words = [f"{_time(event)} {_level(event):<8} {_logger(event)}: {message}"]
    request_id, session_id = origin or (b"", "")
    for name, value in (("request_id", request_id.decode("ascii")), ("session", session_id)):
        if value and value not in message:
            words.append(f"{name}={value}")
    lines = [" ".join(words)]
    failure = event.get("log_failure")
    if isinstance(failure, Failure):
        lines += [f"    {one_line(line)}" for line in cut(failure.getTraceback(), TRACEBACK).splitlines()]
    return ("\n".join(lines) + "\n").encode("utf-8", "backslashreplace")


def _time(event: LogEvent) -> str:
    moment = datetime.fromtimestamp(event.get("log_time", 0.0), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _logger(event: LogEvent) -> str:
    name = str(event.get("log_namespace") or "-")
    return "twisted" if name == "log_legacy" else name  # events of Twisted's legacy log module


def _level(event: LogEvent) -> str:
    level = event.get("log_level")
    return "info" if level is None else str(level.name)


def _text(value: object) -> str:
    return cut(value, VALUE) if isinstance(value, str) else ""


def _fields(event: LogEvent) -> dict[str, str | int | float | None]:
    """The event's own fields with plain values; other values appear in the message only."""
    fields: dict[str, str | int | float | None] = {}
    for name, value in event.items():
        if name.startswith("log_") or name in _RESERVED or name in _LEGACY or len(fields) >= FIELDS:
            continue
        if isinstance(value, bytes):
            value = value.decode("utf-8", "backslashreplace")  # noqa: PLW2901
        if isinstance(value, str):
            fields[cut(name, VALUE)] = cut(value, VALUE)
        elif value is None or _is_number(value):
            fields[name] = value
    return fields


def _is_number(value: object) -> bool:
    return abs(value) < 1 << 63 if isinstance(value, int) else isinstance(value, float) and math.isfinite(value)
