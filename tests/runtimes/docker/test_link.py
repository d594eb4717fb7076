"""A hostile agent's stream costs little of each turn, and floods end the link (F32)."""

from __future__ import annotations

import struct
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.fairness import RunQueue
from sandbox.protocols.docker_stream import STDOUT
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_link import AgentLink, LinkLost
from sandbox.runtimes.docker.execution import Command
from sandbox.runtimes.docker.files import Listing
from tests.turns import TurningClock

READ = 64 * 1024
EXIT = struct.pack(">BBBIQ", 0, 0, 0, 0, 5)


class Engine(StringTransport):
    """The engine's end of the stream."""

    @property
    def read(self) -> bool:
        return self.producerState == "producing"

    @property
    def aborted(self) -> bool:
        return self.disconnecting


class Flood(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = TurningClock()
        self.ended: list[AgentLink] = []
        self.link = AgentLink(self.ended.append, RunQueue.of(self.clock))
        self.engine: Any = Engine()
        self.link.makeConnection(self.engine)
        self.command = Command(1 << 20)
        self.id = self.begin(self.command)
        self.outcome: list[Any] = []
        self.command.wait().addBoth(self.outcome.append)

    def begin(self, exchange: Any) -> int:
        return self.link.begin(exchange, lambda number: [protocol.frame(number, protocol.EXEC)])

    def reply(self, kind: int, payload: bytes = b"", number: int | None = None) -> bytes:
        return protocol.frame(self.id if number is None else number, kind, payload)

    def stream(self, data: bytes) -> bytes:
        """What the engine makes of bytes that were written at once."""
        return struct.pack(">BxxxI", STDOUT, len(data)) + data

    def kept(self) -> int:
        """Bytes of the command's output that have been taken."""
        return self.command.kept

    def test_f32_of_a_read_full_of_replies_some_hundreds_are_taken_in_each_turn(self) -> None:
        tiny = self.reply(protocol.STDOUT, b"x")
        number = READ // len(tiny)
        self.link.dataReceived(self.stream(tiny * number))
        turns = []
        while not self.engine.read:
            before = self.kept()
            self.clock.turn()
            turns.append(self.kept() - before)
        self.assertLessEqual(max(turns), 256)
        self.assertEqual(self.kept(), number)
        self.link.dataReceived(self.stream(self.reply(protocol.EXIT, EXIT)))
        self.assertEqual(self.outcome[0].status, 0)

    def test_f32_so_are_pieces_of_a_byte(self) -> None:
        """Each write of the agent's is a frame of the engine's."""
        reply = self.reply(protocol.STDOUT, b"x" * 4000)
        self.link.dataReceived(b"".join(self.stream(bytes([byte])) for byte in reply))
        turns = 0
        while not self.engine.read:
            self.clock.turn()
            turns += 1
        self.assertEqual((turns, self.kept()), (len(reply) // 256, 4000))

    def test_f32_what_was_read_before_the_end_counts(self) -> None:
        self.link.dataReceived(self.stream(self.reply(protocol.STDOUT, b"x") * 1000 + self.reply(protocol.EXIT, EXIT)))
        self.assertEqual(self.outcome, [])
        self.link.connectionLost(Failure(ConnectionDone()))
        self.assertEqual((self.outcome[0].status, self.kept(), self.ended), (0, 1000, [self.link]))
        self.clock.turn()

    def test_f32_a_link_that_is_closed_takes_nothing_more(self) -> None:
        self.link.dataReceived(self.stream(self.reply(protocol.STDOUT, b"x") * 1000))
        self.link.close()
        self.clock.turn()
        self.link.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.kept(), 256)
        self.assertIsInstance(self.outcome[0].value, LinkLost)

    def test_f32_a_flood_of_empty_frames_ends_the_link(self) -> None:
        floods = {
            "output": self.stream(self.reply(protocol.STDOUT) * 2000),
            "replies to nobody": self.stream(self.reply(protocol.STDOUT, b"x", 99) * 2000),
            "the engine's": self.stream(b"") * 2000,
        }
        for name, flood in floods.items():
            self.setUp()
            self.link.dataReceived(flood)
            for _ in range(20):
                self.clock.turn()
            self.assertTrue(self.engine.aborted, name)

    def test_f32_the_lists_of_many_empty_directories_are_no_flood(self) -> None:
        for _ in range(3000):
            number = self.begin(Listing(10))
            self.link.dataReceived(
                self.stream(self.reply(protocol.ENTRIES, b"", number) + self.reply(protocol.DONE, b"", number))
            )
        self.assertFalse(self.engine.aborted)
