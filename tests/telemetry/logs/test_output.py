"""Where lines go: a file that can be moved away, a pipe that breaks, a level that changes."""

from __future__ import annotations

import json
import os
import pty
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.log_context import on_behalf_of
from sandbox.settings import variables
from sandbox.telemetry.logs.output import LEVELS, Output


def logger(output: Output) -> Logger:
    """Who logs to it."""
    return Logger(namespace="sandbox.test", observer=output)


class File(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def output(self, **how: str) -> Output:
        output = Output(str(self.path), **how)
        self.addCleanup(lambda: os.close(output._descriptor))
        return output

    def lines(self, path: Path | None = None) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (path or self.path).read_text().splitlines()]

    def test_a_file_gets_json_lines_appended(self) -> None:
        self.path.write_text('{"message": "from before"}\n')
        logger(self.output()).info("now {n}", n=1)
        self.assertEqual([line["message"] for line in self.lines()], ["from before", "now 1"])

    def test_the_file_is_nobody_elses(self) -> None:
        self.output()
        self.assertEqual(self.path.stat().st_mode & 0o007, 0)

    def test_reopen_lets_go_of_a_file_that_was_moved_away(self) -> None:
        output = self.output()
        logger(output).info("old")
        moved = self.path.rename(f"{self.path}.1")
        logger(output).info("still old")
        output.reopen()
        logger(output).info("new")
        self.assertEqual([line["message"] for line in self.lines(moved)], ["old", "still old"])
        self.assertEqual([line["message"] for line in self.lines()], ["new"])

    def test_reopen_follows_the_name_the_daemon_was_started_with_wherever_it_went_since(self) -> None:
        here = Path.cwd()
        output = Output(os.path.relpath(self.path))
        self.addCleanup(lambda: os.close(output._descriptor))
        moved = self.path.rename(f"{self.path}.1")
        self.addCleanup(os.chdir, here)
        os.chdir("/")
        output.reopen()
        logger(output).info("new")
        os.chdir(here)
        self.assertEqual((len(self.lines()), len(self.lines(moved))), (1, 0))

    def test_a_file_that_cannot_be_opened_again_leaves_the_log_where_it_was(self) -> None:
        self.path.mkdir()
        path = self.path = self.path / "log"
        output = self.output()
        path.rename(path.parent.parent / f"{path.parent.name}.moved")
        path.parent.rmdir()
        output.reopen()
        logger(output).info("goes on")
        self.assertEqual(len(self.lines(path.parent.parent / f"{path.parent.name}.moved")), 1)

    def test_the_level_changes_while_it_runs(self) -> None:
        output = self.output(level="warn")
        logger(output).info("one")
        logger(output).warn("two")
        output.set_level("debug")
        logger(output).debug("three")
        output.set_level("critical")
        logger(output).error("four")
        self.assertEqual([line["message"] for line in self.lines()], ["two", "three"])
        self.assertEqual(output.events, {"warn": 1, "debug": 1})

    def test_the_levels_are_those_of_the_setting(self) -> None:
        (setting,) = [each for each in variables() if each.name == "LOG_LEVEL"]
        for level in LEVELS:
            setting.read({"LOG_LEVEL": level})
            self.output(level=level)
        with self.assertRaises(ValueError):
            self.output(level="loud")

    def test_events_carry_the_request_that_they_happen_for_to_the_end_of_its_operation(self) -> None:
        log, waiting = logger(self.output()), Deferred[None]()

        async def operation() -> None:
            log.info("begun")
            await waiting
            log.info("ended")

        with on_behalf_of(b"r-1", "s1"):
            Deferred.fromCoroutine(operation())
        log.info("between")
        with on_behalf_of(b"r-2", ""):
            waiting.callback(None)
        found = [(line["message"], line.get("request_id"), line.get("session")) for line in self.lines()]
        self.assertEqual(found, [("begun", "r-1", "s1"), ("between", None, None), ("ended", "r-1", "s1")])


class Descriptors(SynchronousTestCase):
    def test_a_terminal_gets_lines_for_people_and_json_when_that_is_asked_for(self) -> None:
        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        logger(Output(theirs)).info("hello")
        self.assertRegex(os.read(ours, 4096), rb"^\d{4}-\S+Z info +sandbox.test: hello\r\n$")
        logger(Output(theirs, form="json")).info("hello")
        self.assertEqual(json.loads(os.read(ours, 4096))["message"], "hello")

    def test_a_pipe_gets_json_and_text_when_that_is_asked_for(self) -> None:
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        logger(Output(theirs)).info("hello")
        self.assertEqual(json.loads(os.read(ours, 4096))["message"], "hello")
        logger(Output(theirs, form="text")).info("hello")
        self.assertIn(b"sandbox.test: hello\n", os.read(ours, 4096))

    def test_what_cannot_be_written_is_dropped_and_counted(self) -> None:
        ours, theirs = os.pipe()
        self.addCleanup(os.close, theirs)
        os.close(ours)
        output = Output(theirs)
        logger(output).info("nobody reads")
        self.assertEqual(output.dropped, 1)

    def test_a_pipe_that_is_not_read_holds_nobody_up(self) -> None:
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        output = Output(theirs)  # blocking, as what twistd was started with
        log = logger(output)
        for _ in range(200):
            log.info("x" * 3000)
        self.assertGreater(output.dropped, 100)
        os.read(ours, 1 << 20)
        log.info("after")
        self.assertEqual(json.loads(os.read(ours, 1 << 20).splitlines()[-1])["message"], "after")

    def test_a_line_that_was_torn_does_not_spoil_the_next(self) -> None:
        ours, theirs = os.pipe()
        self.addCleanup(os.close, ours)
        self.addCleanup(os.close, theirs)
        os.set_blocking(theirs, False)
        output = Output(theirs)
        log = logger(output)
        while not output.dropped:
            log.info("x" * 3000)
        os.read(ours, 1 << 20)
        log.info("after")
        rest = os.read(ours, 1 << 20)
        self.assertEqual(json.loads(rest.splitlines()[-1])["message"], "after")
