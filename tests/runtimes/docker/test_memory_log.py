"""``sandbox.runtimes.docker.memory_log``: a container that runs out of memory in a loop does not fill the log."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from sandbox.runtimes.docker.memory_log import MemoryLog


class MemoryLogTests(SynchronousTestCase):
    """By a clock of its own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.log = MemoryLog(self.clock)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def lines(self) -> list[tuple[str, int | None]]:
        """Session and count of each line since the last look."""
        found = [(event["session"], event.get("count")) for event in self.events if "session" in event]
        self.events.clear()
        return found

    def test_f43_one_line_a_session_and_minute_with_a_count(self) -> None:
        for _ in range(257):
            self.log.killed("loops")
        self.log.killed("other")
        self.assertEqual(self.lines(), [("loops", None), ("other", None)])
        self.clock.advance(59)
        self.assertEqual(self.lines(), [])
        self.clock.advance(1)
        self.assertEqual(self.lines(), [("loops", 256)])
        self.log.killed("loops")
        self.log.killed("other")
        self.assertEqual(self.lines(), [("other", None)])
        self.clock.advance(60)
        self.assertEqual(self.lines(), [("loops", 1)])
        self.clock.pump([60, 60])
        self.assertEqual((self.lines(), self.clock.getDelayedCalls()), ([], []))

    def test_f43_what_was_counted_is_logged_at_the_end(self) -> None:
        self.log.killed("loops")
        self.log.killed("loops")
        self.log.killed("once")
        self.lines()
        self.log.close()
        self.assertEqual((self.lines(), self.clock.getDelayedCalls()), ([("loops", 1)], []))
