"""What is taken of an agent's stream in a turn of the reactor is bounded in time, too (F39)."""

from __future__ import annotations

import struct

from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from sandbox.net.fairness import TURN, RunQueue
from sandbox.protocols.docker_stream import STDOUT
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_link import AgentLink, Exchange
from tests.turns import TurningClock


class Slow(Exchange[None]):
    """Takes its time for each reply, as a listing does for a hundred entries."""

    def __init__(self, clock: TurningClock, takes: float) -> None:
        super().__init__()
        self._clock = clock
        self._takes = takes
        self.taken = 0

    def received(self, kind: int, payload: bytes) -> bool:
        """As :meth:`Exchange.received`."""
        self.taken += 1
        self._clock.rightNow += self._takes
        return False


class Slices(SynchronousTestCase):
    def test_f39_of_replies_that_take_long_fewer_are_taken_in_a_turn(self) -> None:
        clock = TurningClock()
        for takes, most in ((0.00001, 101), (0.0003, 4), (0.002, 1)):
            link, exchange = AgentLink(lambda link: None, RunQueue.of(clock)), Slow(clock, takes)
            link.makeConnection(StringTransport())
            number = link.begin(exchange, lambda number: [protocol.frame(number, protocol.LIST)])
            reply = protocol.frame(number, protocol.ENTRIES, b"x")
            link.dataReceived(struct.pack(">BxxxI", STDOUT, 200 * len(reply)) + reply * 200)
            counts = [exchange.taken]
            while exchange.taken < 200:
                clock.turn()
                counts.append(exchange.taken - sum(counts))
            self.assertLessEqual(max(counts), most)

    def test_f32_agents_together_are_taken_from_for_a_turn_at_most(self) -> None:
        clock = TurningClock()
        queue = RunQueue.of(clock)
        found = [(AgentLink(lambda link: None, queue), Slow(clock, TURN / 2)) for _ in range(6)]
        for link, exchange in found:
            link.makeConnection(StringTransport())
            number = link.begin(exchange, lambda number: [protocol.frame(number, protocol.LIST)])
            reply = protocol.frame(number, protocol.ENTRIES, b"x")
            link.dataReceived(struct.pack(">BxxxI", STDOUT, len(reply)) + reply)
        counts = []
        while sum(counts) < len(found):
            counts.append(sum(exchange.taken for _, exchange in found) - sum(counts))
            clock.turn()
        self.assertEqual(counts, [2, 2, 2])
