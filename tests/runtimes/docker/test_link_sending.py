"""``sandbox.runtimes.docker.agent_link``: what is sent waits for the agent, and what nothing waits for is not kept."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.fairness import RunQueue
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_link import AgentLink, LinkLost
from sandbox.runtimes.docker.execution import Command
from sandbox.runtimes.docker.files import Listing, Read, Stat, Write

MIB = 1 << 20


class Pipe(StringTransport):
    """A transport whose other end takes so much and then no more."""

    room = 0

    def write(self, data: bytes) -> None:
        """Take it, and say when that was too much."""
        super().write(data)
        if len(self.value()) > self.room:
            self.producer.pauseProducing()

    def abortConnection(self) -> None:
        """Nobody looks."""


def stdout(number: int, kind: int, payload: bytes) -> bytes:
    """A reply as the engine carries it."""
    frame = protocol.frame(number, kind, payload)
    return b"\1\0\0\0" + len(frame).to_bytes(4, "big") + frame


class LinkTests(SynchronousTestCase):
    """One link, by hand."""

    def setUp(self) -> None:
        self.stalls: list[AgentLink] = []
        self.link = AgentLink(lambda link: None, RunQueue.of(Clock()), self.stalls.append)
        self.pipe = Pipe()
        self.pipe.room = 1 << 30
        self.link.makeConnection(self.pipe)

    def upload(self, size: int = 10 * MIB) -> tuple[int, Write]:
        """Begin to write a file."""
        write = Write(size)
        return self.link.begin(write, lambda number: protocol.write(number, b"x", b"\0" * size)), write

    def sent(self) -> list[tuple[int, int]]:
        """The frames that were sent: request and kind."""
        found, data = [], self.pipe.value()
        while data:
            size = int.from_bytes(data[:4], "big")
            found.append((int.from_bytes(data[4:8], "big"), data[8]))
            data = data[9 + size :]
        return found

    def test_f40_uploads_wait_for_an_agent_that_does_not_read(self) -> None:
        self.pipe.room = 64 << 10
        for _ in range(4):
            self.upload()
        self.assertLess(len(self.pipe.value()), 256 << 10)
        self.assertEqual((self.link.paused, len(self.stalls)), (True, 1))

    def test_f40_an_upload_goes_on_where_it_waited_and_the_next_follows(self) -> None:
        self.pipe.room = 64 << 10
        first, _ = self.upload(MIB)
        second, _ = self.upload(MIB)
        for _ in range(40):
            if self.link.paused:
                self.pipe.room += 64 << 10
                self.link.resumeProducing()
        one = [protocol.WRITE, *[protocol.DATA] * 16, protocol.COMMIT]
        self.assertEqual(self.sent(), [(number, kind) for number in (first, second) for kind in one])

    def test_f40_a_killed_upload_is_sent_no_further(self) -> None:
        self.pipe.room = 64 << 10
        number, _ = self.upload()
        sent = self.sent()
        self.link.kill(number)
        self.pipe.room = 1 << 30
        self.link.resumeProducing()
        self.assertEqual(self.sent(), [*sent, (number, protocol.KILL)])
        self.assertTrue(self.link.pending(number))
        self.link.dataReceived(stdout(number, protocol.FAILURE, b"\5\0\0\0\2"))
        self.assertFalse(self.link.pending(number))

    def test_f40_a_request_that_the_agent_never_got_is_over_when_it_is_killed(self) -> None:
        self.pipe.room = 0
        self.upload()
        number, write = self.upload()
        self.link.kill(number)
        self.failureResultOf(write.wait(), LinkLost)
        self.assertFalse(self.link.pending(number))

    def test_f40_nothing_is_kept_of_what_was_killed(self) -> None:
        payload = b"x" * 4000
        entry = b"f" + bytes(20) + b"\0\1x"
        cases: list[tuple[Any, int, bytes, int, bytes]] = [
            (Command(10 * MIB), protocol.STDOUT, payload, protocol.EXIT, bytes(15)),
            (Read(10 * MIB), protocol.CONTENT, payload, protocol.DONE, b""),
            (Listing(1000), protocol.ENTRIES, entry, protocol.DONE, b""),
            (Stat(), protocol.CONTENT, payload, protocol.METADATA, b"f" + bytes(20)),
        ]
        for exchange, kind, content, last, end in cases:
            number = self.link.begin(exchange, lambda number: [protocol.frame(number, protocol.READ)])
            if not isinstance(exchange, Stat):
                self.link.dataReceived(stdout(number, kind, content))
            self.link.kill(number)
            for _ in range(2000):
                self.link.dataReceived(stdout(number, kind, content))
            kept = [getattr(exchange, name, b"") for name in ("_content", "_entries")]
            kept += list(getattr(exchange, "_output", {}).values())
            self.assertEqual(sum(map(len, kept)), 0, exchange)
            self.assertTrue(self.link.pending(number))
            self.link.dataReceived(stdout(number, last, end))
            self.assertFalse(self.link.pending(number), exchange)
