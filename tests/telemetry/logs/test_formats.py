"""An event becomes one bounded line, whatever is in it."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.logger import LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.python import log as legacy
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sandbox.telemetry.logs.formats import FIELDS, MESSAGE, TRACEBACK, VALUE, cut, json_line, text_line

FORGED = 'one\n{"level": "critical"}\r\n2026-11-23T00:00:00.000Z critical sandbox: two\x1b[2J\x9b\u2028\u202e\0'


def event(form: str = "{what}", **fields: Any) -> LogEvent:
    """An event as a logger makes it, at a known time."""
    events: list[LogEvent] = []
    Logger(namespace="sandbox.test", observer=events.append).emit(LogLevel.info, form, **fields)
    return {**events[0], "log_time": 1_763_856_000.1239}


class Json(SynchronousTestCase):
    def read(self, line: bytes) -> dict[str, Any]:
        self.assertTrue(line.endswith(b"\n"))
        self.assertEqual(line.count(b"\n"), 1)
        self.assertTrue(line[:-1].isascii() and line[:-1].decode().isprintable(), line)
        found: dict[str, Any] = json.loads(line)
        return found

    def test_a_line_has_time_level_logger_message_and_the_events_own_fields(self) -> None:
        found = self.read(json_line(event("exit={exit} of {what!r}", exit=3, what="ls", ms=1.5, note=None), None))
        self.assertEqual(
            found,
            {
                "time": "2025-11-23T00:00:00.123Z",
                "level": "info",
                "logger": "sandbox.test",
                "message": "exit=3 of 'ls'",
                "exit": 3,
                "what": "ls",
                "ms": 1.5,
                "note": None,
            },
        )

    def test_it_carries_the_ids_of_the_request_unless_the_event_has_its_own(self) -> None:
        found = self.read(json_line(event(what=1), (b"r-1", "s1")))
        self.assertEqual((found["request_id"], found["session"]), ("r-1", "s1"))
        found = self.read(json_line(event(what=1, session="s2", request_id="r-2"), (b"r-1", "s1")))
        self.assertEqual((found["request_id"], found["session"]), ("r-2", "s2"))
        found = self.read(json_line(event(what=1), (b"r-1", "")))
        self.assertEqual((found["request_id"], found.get("session")), ("r-1", None))

    def test_no_value_forges_a_line(self) -> None:
        found = self.read(json_line(event(what=FORGED, raw=FORGED.encode()), None))
        self.assertEqual(found["message"], FORGED)
        self.assertEqual(found["raw"], FORGED)

    def test_only_plain_values_are_fields(self) -> None:
        values = {"object": object(), "huge": 1 << 100, "nan": float("nan"), "list": ["x"], "error": ValueError("x")}
        found = self.read(json_line(event("x", **values, half="\ud800", bad=b"\xff"), None))
        self.assertEqual(set(found) - {"time", "level", "logger", "message"}, {"half", "bad"})
        self.assertEqual(found["bad"], "\\xff")

    def test_a_field_cannot_stand_for_what_every_line_has(self) -> None:
        found = self.read(json_line({**event("x"), "level": 1, "logger": 2, "time": 3, "message": 4}, None))
        self.assertEqual((found["level"], found["logger"], found["message"]), ("info", "sandbox.test", "x"))

    def test_a_failure_is_its_type_its_message_and_its_traceback(self) -> None:
        found = self.read(json_line(failed(), None))
        self.assertEqual((found["failure"]["type"], found["failure"]["message"]), ("builtins.ValueError", FORGED))
        self.assertIn("in failed", found["failure"]["traceback"])

    def test_every_line_is_bounded(self) -> None:
        fields = {f"field{number}": "é" * 5000 for number in range(100)}
        line = json_line(
            {**event("{field1}" * 100, **fields), "log_failure": failed("x" * 100_000)["log_failure"]}, None
        )
        # Six bytes a character, where it is escaped.
        self.assertLess(len(line), 6 * (MESSAGE + FIELDS * (VALUE + 50) + MESSAGE + TRACEBACK + 1000))
        self.assertIn("[3976 cut]", self.read(line)["field1"])

    def test_an_event_that_cannot_be_formatted_is_a_line_all_the_same(self) -> None:
        self.assertIn("Unable to format event", self.read(json_line(event("{missing}"), None))["message"])

    def test_what_twisted_logs_in_the_old_way_is_a_line_like_others(self) -> None:
        events: list[LogEvent] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        legacy.msg("old words", system="-")
        found = self.read(json_line(events[-1], None))
        self.assertEqual((found["logger"], found["message"]), ("twisted", "old words"))
        self.assertEqual(set(found), {"time", "level", "logger", "message"})


class Text(SynchronousTestCase):
    def test_a_line_is_for_people(self) -> None:
        line = text_line(event("exit={exit}", exit=3), (b"r-1", "s1"))
        self.assertEqual(line, b"2025-11-23T00:00:00.123Z info     sandbox.test: exit=3 request_id=r-1 session=s1\n")

    def test_no_value_forges_a_line_or_speaks_to_the_terminal(self) -> None:
        line = text_line(event(what=FORGED), None)
        self.assertEqual(line.count(b"\n"), 1)
        self.assertTrue(line[:-1].decode().isprintable(), line)
        self.assertIn(b"one\\n{", line)

    def test_a_traceback_is_indented_so_that_none_of_its_lines_is_another_event(self) -> None:
        first, *rest = text_line(failed(), None).decode().splitlines()
        self.assertIn("broken", first)
        self.assertGreater(len(rest), 3)
        for line in rest:
            self.assertTrue(line.startswith("    ") and line.isprintable(), line)


def failed(message: str = FORGED) -> LogEvent:
    """The event of an error."""
    try:
        raise ValueError(message)
    except ValueError:
        return {**event("broken"), "log_failure": Failure(), "log_level": LogLevel.critical}


class Cut(SynchronousTestCase):
    @given(st.text(max_size=50), st.integers(min_value=1, max_value=40))
    def test_what_fits_is_whole_and_the_rest_is_both_ends(self, text: str, limit: int) -> None:
        found = cut(text, limit)
        if len(text) <= limit:
            self.assertEqual(found, text)
        else:
            self.assertTrue(found.startswith(text[: limit - limit // 2]))
            self.assertTrue(found.endswith(text[len(text) - limit // 2 :]))
            self.assertIn(f"[{len(text) - limit} cut]", found)
