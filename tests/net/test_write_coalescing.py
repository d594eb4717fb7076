"""Writing without waiting for the reactor to find a socket writable."""

from __future__ import annotations

import socket
import struct
from typing import Any

from twisted.internet import reactor as the_reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sandbox.net import write_coalescing

reactor: Any = the_reactor


class Side(Protocol):
    """The side that is written to."""

    transport: Any

    def __init__(self, made: Deferred[Side]) -> None:
        self._made = made
        self.received = b""
        self.lost: Deferred[None] = Deferred()
        self.paused = 0
        self.resumed: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self._made.callback(self)

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        self.lost.callback(None)

    def pauseProducing(self) -> None:
        self.paused += 1

    def resumeProducing(self) -> None:
        self.resumed.callback(None)

    def stopProducing(self) -> None:
        pass


class WithoutOutbox:
    """A reactor that is not ours."""

    def __getattr__(self, name: str) -> Any:
        if name == "batch":
            raise AttributeError(name)
        return getattr(reactor, name)


async def turn() -> None:
    """Let the reactor end its turn."""
    await deferLater(reactor, 0, lambda: None)
    await deferLater(reactor, 0, lambda: None)


class Writing(TestCase):
    async def connect(self) -> tuple[Any, socket.socket]:
        """A transport, and the socket at its other end."""
        made: Deferred[Side] = Deferred()
        port = reactor.listenTCP(0, Factory.forProtocol(lambda: Side(made)), interface="127.0.0.1")  # type: ignore[arg-type]
        self.addCleanup(port.stopListening)
        peer = socket.create_connection(("127.0.0.1", port.getHost().port), 10)
        self.addCleanup(peer.close)
        side = await made
        self.side = side

        def end() -> Deferred[None]:
            side.transport.abortConnection()
            return side.lost

        self.addCleanup(end)
        peer.setblocking(False)
        return side.transport, peer

    def has(self, peer: socket.socket) -> bytes:
        """What has come to ``peer``."""
        try:
            return peer.recv(1 << 20)
        except BlockingIOError:
            return b""

    async def all_of(self, peer: socket.socket) -> bytes:
        """All that comes to ``peer`` until the connection's end."""
        got = b""
        for _ in range(2000):
            try:
                piece = peer.recv(1 << 20)
            except BlockingIOError:
                await deferLater(reactor, 0.005, lambda: None)
                continue
            if not piece:
                return got
            got += piece
        raise AssertionError("the connection was not ended")

    async def test_what_a_turn_writes_is_sent_when_it_ends(self) -> None:
        transport, peer = await self.connect()
        write_coalescing.write(transport, b"one ")
        write_coalescing.write(transport, b"two")
        self.assertEqual((self.has(peer), write_coalescing.unsent(transport)), (b"", 7))
        await turn()
        self.assertEqual((self.has(peer), write_coalescing.unsent(transport)), (b"one two", 0))
        self.assertNotIn(transport, reactor.getWriters())

    async def test_a_large_piece_is_sent_at_once(self) -> None:
        transport, peer = await self.connect()
        write_coalescing.write(transport, b"x" * 20_000)
        self.assertEqual((len(self.has(peer)), write_coalescing.unsent(transport)), (20_000, 0))

    async def test_on_any_other_reactor_all_is_sent_at_once(self) -> None:
        transport, peer = await self.connect()
        transport.reactor = WithoutOutbox()
        write_coalescing.write(transport, b"one")
        self.assertEqual(self.has(peer), b"one")

    async def test_the_order_of_all_ways_to_write_is_kept(self) -> None:
        transport, peer = await self.connect()
        write_coalescing.write(transport, b"1")
        transport.write(b"2")
        write_coalescing.write(transport, b"3")
        write_coalescing.write(transport, b"4" * 20_000)
        transport.writeSequence([b"5", b"6"])
        await turn()
        transport.write(b"7")
        write_coalescing.write(transport, b"8")
        transport.loseConnection()
        self.assertEqual(await self.all_of(peer), b"123" + b"4" * 20_000 + b"5678")

    async def test_a_connection_that_is_closed_has_sent_what_was_written_before(self) -> None:
        transport, peer = await self.connect()
        write_coalescing.write(transport, b"the last")
        transport.loseConnection()
        self.assertEqual(await self.all_of(peer), b"the last")
        await self.side.lost

    async def test_and_so_has_one_that_is_half_closed(self) -> None:
        transport, peer = await self.connect()
        write_coalescing.write(transport, b"the last")
        transport.loseWriteConnection()
        self.assertEqual(await self.all_of(peer), b"the last")

    async def test_to_one_that_is_lost_nothing_is_sent(self) -> None:
        transport, peer = await self.connect()
        transport.abortConnection()
        await self.side.lost
        write_coalescing.write(transport, b"too late")
        await turn()
        self.assertRaises(ConnectionResetError, peer.recv, 10)
        self.assertEqual(write_coalescing.unsent(transport), 0)

    async def test_a_reset_that_sending_meets_is_no_orderly_end(self) -> None:
        """The kernel tells of it once. What is delimited by the connection's end would look complete."""
        for said in (b"", b"the last"):
            for size in (1, 20_000):
                transport, peer = await self.connect()
                peer.sendall(said)
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                peer.close()
                write_coalescing.write(transport, b"x" * size)
                write_coalescing.write(transport, b"y")
                reactor.batch.send()  # before the reactor looks at the socket
                await self.side.lost
                self.assertEqual(self.side.received, said)
                self.assertIsNotNone(self.side.reason.check(ConnectionLost), self.side.reason)

    async def test_one_that_is_lost_in_the_same_turn_harms_no_other(self) -> None:
        first, _ = await self.connect()
        lost = self.side.lost
        second, peer = await self.connect()
        write_coalescing.write(first, b"never sent")
        write_coalescing.write(second, b"sent")
        first.connectionLost(Failure(connectionDone.value))
        await lost
        await turn()
        self.assertEqual(self.has(peer), b"sent")

    async def test_a_producer_that_fails_ends_its_own_connection_and_harms_no_other(self) -> None:
        first, _ = await self.connect()
        side = self.side
        second, peer = await self.connect()
        first.registerProducer(side, True)

        def fail() -> None:
            raise RuntimeError("cannot pause")

        self.patch(side, "pauseProducing", fail)
        self.patch(write_coalescing, "_LARGE", 1 << 30)  # So that all of it waits for the end of the turn.
        write_coalescing.write(first, b"x" * (64 << 20))
        write_coalescing.write(second, b"sent")
        await side.lost
        self.assertEqual(self.has(peer), b"sent")
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_what_a_socket_does_not_take_is_kept_and_its_producer_paused(self) -> None:
        transport, peer = await self.connect()
        transport.registerProducer(self.side, True)
        sent = b""
        while not write_coalescing.unsent(transport):
            sent += b"%07d " % len(sent) * 8000
            write_coalescing.write(transport, sent[-64_000:])
        while not self.side.paused:
            sent += b"y" * 1000
            write_coalescing.write(transport, b"y" * 1000)
        got = b""
        while len(got) < len(sent):
            got += self.has(peer)
            await turn()
        self.assertEqual(got, sent)
        await self.side.resumed
        transport.unregisterProducer()

    async def test_much_in_one_turn_pauses_the_producer(self) -> None:
        transport, peer = await self.connect()
        transport.registerProducer(self.side, True)
        for _ in range(1000):
            write_coalescing.write(transport, b"z" * 1000)
            if self.side.paused:
                break
        self.assertTrue(self.side.paused)
        self.assertLess(write_coalescing.unsent(transport), 200_000)
        await self.side.resumed
        transport.unregisterProducer()
        transport.loseConnection()
        self.assertEqual(set(await self.all_of(peer)), {ord("z")})
