"""What one application, or one end of a WebSocket, may have the daemon do in a turn of the reactor (F32, F33)."""

from __future__ import annotations

from typing import Any, cast

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from sandbox.gateway.bridge import Bridge, Timing
from sandbox.gateway.ends import EMPTY_FRAMES
from sandbox.gateway.resource import PreviewResource
from sandbox.gateway.upstream import connection
from sandbox.gateway.upstream.pool import Pool
from sandbox.http.admission import STREAM
from sandbox.http.site import Site
from sandbox.net.deadlines import Deadlines
from sandbox.net.fairness import PAUSE
from sandbox.protocols.http1.framing import ChunkedDecoder
from tests.gateway.stage import admit_all
from tests.gateway.test_splitting import Resolver
from tests.gateway.wires import CLOSE, TEXT, close_payload, frame
from tests.http.test_budget import CHUNKED, READ, Client, LineEnds
from tests.turns import TurningClock

HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
TINY_CHUNK = b"1\r\nx\r\n"


class TurningReactor(MemoryReactor, TurningClock):
    """A reactor in memory whose turns a test counts."""

    def __init__(self) -> None:
        MemoryReactor.__init__(self)
        TurningClock.__init__(self)


class Peer(Client):
    """The application's end of a connection."""

    def setTcpKeepAlive(self, enabled: bool) -> None:
        pass


class Applications(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = TurningReactor()
        reactor = cast(Any, self.reactor)
        self.pool = Pool(reactor, Deadlines(reactor))
        resource = PreviewResource(reactor, b"/previews/", Resolver(), self.pool, authorize=admit_all)
        self.site = Site(resource, reactor, admit=lambda request: STREAM)
        self.channel: Any = self.site.buildProtocol(None)
        self.client = Client()
        self.channel.makeConnection(self.client)

    def ask(self, request: bytes = b"GET /previews/s1/ HTTP/1.1\r\nHost: h\r\n\r\n") -> tuple[Any, Peer]:
        """Send a request; the connection to the application that it goes over, both ends of it."""
        self.channel.dataReceived(request)
        upstream = self.reactor.tcpClients[-1][2].buildProtocol(None)
        peer = Peer()
        upstream.makeConnection(peer)
        return upstream, peer

    def pieces(self) -> list[bytes]:
        """The chunks that the client has got."""
        body = self.client.value().partition(b"\r\n\r\n")[2]
        return ChunkedDecoder().feed(body)

    def test_f32_chunks_of_one_read_are_sent_on_as_one(self) -> None:
        upstream, _ = self.ask()
        upstream.dataReceived(HEAD + TINY_CHUNK * 5)
        upstream.dataReceived(TINY_CHUNK * 3 + b"0\r\n\r\n")
        self.assertEqual(self.pieces(), [b"x" * 5, b"x" * 3])

    def test_f32_of_a_read_full_of_chunks_some_hundreds_are_taken_in_each_turn(self) -> None:
        upstream, peer = self.ask()
        number = READ // len(TINY_CHUNK)
        upstream.dataReceived(HEAD + TINY_CHUNK * number)
        for turn in range(1, number // 256 + 1):
            self.assertEqual((len(self.pieces()), peer.read), (turn, False))
            self.reactor.turn()
        self.assertEqual((max(map(len, self.pieces())), sum(map(len, self.pieces())), peer.read), (256, number, True))
        upstream.dataReceived(b"0\r\n\r\n")
        self.assertEqual(self.pool.idle, 1)

    def test_f32_a_client_that_does_not_keep_up_stops_them(self) -> None:
        upstream, peer = self.ask()
        upstream.dataReceived(HEAD + TINY_CHUNK * 1000 + b"0\r\n\r\n")
        self.channel.pauseProducing()
        for _ in range(3):
            self.reactor.turn()
        self.assertEqual(len(self.pieces()), 1)
        self.channel.resumeProducing()
        for _ in range(4):
            self.reactor.turn()
        self.assertEqual((sum(map(len, self.pieces())), peer.read, self.pool.idle), (1000, True, 1))

    def test_f32_what_was_read_before_the_end_is_not_lost(self) -> None:
        for reason, complete in ((ConnectionDone(), True), (ConnectionLost(), True)):
            self.setUp()
            upstream, _ = self.ask()
            upstream.dataReceived(HEAD + TINY_CHUNK * 1000 + b"0\r\n\r\n" * complete)
            upstream.connectionLost(Failure(reason))
            self.assertEqual(sum(map(len, self.pieces())), 1000)
            self.assertTrue(self.client.value().endswith(b"0\r\n\r\n"))
            self.reactor.turn()

    def test_f32_when_the_client_leaves_nothing_is_done_any_more(self) -> None:
        upstream, peer = self.ask()
        upstream.dataReceived(HEAD + TINY_CHUNK * 1000)
        self.channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(peer.ended, "aborted")
        for _ in range(5):
            self.reactor.turn()
        upstream.connectionLost(Failure(ConnectionLost()))
        self.reactor.turn()
        self.assertEqual(len(self.pieces()), 1)

    def test_f32_chunks_that_are_wrong_break_the_response_in_a_later_turn(self) -> None:
        upstream, peer = self.ask()
        upstream.dataReceived(HEAD + TINY_CHUNK * 300 + b"x\r\n")
        self.assertEqual((self.client.ended, peer.ended), ("", ""))
        self.reactor.turn()
        self.assertEqual((self.client.ended, peer.ended), ("closed", "aborted"))

    def test_f32_an_upload_in_tiny_chunks_is_sent_on_in_large_ones(self) -> None:
        _, peer = self.ask(CHUNKED.replace(b"/", b"/previews/s1/", 1) + TINY_CHUNK * 600 + b"0\r\n\r\n")
        for _ in range(3):
            self.reactor.turn()
        body = peer.value().partition(b"\r\n\r\n")[2]
        self.assertEqual([len(piece) for piece in ChunkedDecoder().feed(body)], [256, 256, 88])

    def test_f33_each_byte_of_a_head_is_looked_at_twice_at_most(self) -> None:
        judge = LineEnds()
        self.patch(connection, "has_broken_line", judge)
        upstream, _ = self.ask()
        head = b"HTTP/1.1 200 OK\r\nA: " + b"b" * 60_000
        for place in range(len(head)):
            upstream.dataReceived(head[place : place + 1])
        self.assertLessEqual(judge.bytes, 2 * len(head))
        upstream.dataReceived(b"\r\nContent-Length: 0\r\n\r\n")
        self.assertIn(b"HTTP/1.1 200", self.client.value())

    def test_f33_a_head_that_comes_in_many_pieces_is_read_at_a_pace(self) -> None:
        upstream, peer = self.ask()
        for byte in HEAD[:9]:
            self.assertTrue(peer.read)
            upstream.dataReceived(bytes([byte]))
        for byte in HEAD[9:20]:
            self.assertFalse(peer.read)
            self.reactor.advance(PAUSE)
            self.assertTrue(peer.read)
            upstream.dataReceived(bytes([byte]))
        upstream.dataReceived(HEAD[20:] + TINY_CHUNK + b"0\r\n\r\n")
        self.assertEqual((self.pieces(), self.pool.idle), ([b"x"], 1))
        self.reactor.advance(PAUSE)
        self.assertTrue(peer.read)


class WebSockets(SynchronousTestCase):
    """A bridge between two transports in memory."""

    def setUp(self) -> None:
        self.clock = TurningClock()
        self.ended: list[Bridge] = []
        deadlines = Deadlines(cast(Any, self.clock))
        self.bridge = Bridge(deadlines, Timing(ping=0, grace=0), self.ended.append)
        self.browser, self.application = Peer(), Peer()
        for end, peer in ((self.bridge.browser, self.browser), (self.bridge.application, self.application)):
            peer.protocol = _Former()  # type: ignore[attr-defined]
            end.makeConnection(peer)
        self.bridge.open()

    def test_f32_of_a_read_full_of_frames_some_hundreds_are_carried_in_each_turn(self) -> None:
        message = frame(TEXT, b"x")
        sent = message * (READ // len(message))
        self.bridge.application.dataReceived(sent)
        turns = 0
        while not self.application.read:
            before = len(self.browser.value())
            self.clock.turn()
            self.assertLessEqual(len(self.browser.value()) - before, 512 * len(message))
            turns += 1
        self.assertEqual((self.browser.value(), turns), (sent, len(sent) // len(message) // 512))

    def test_f32_the_other_side_may_stop_them(self) -> None:
        message = frame(TEXT, b"x")
        self.bridge.application.dataReceived(message * 1200)
        self.bridge.application.pauseProducing()
        self.clock.turn()
        self.assertEqual(len(self.browser.value()), 512 * len(message))
        self.bridge.application.resumeProducing()
        self.clock.turn()
        self.clock.turn()
        self.assertEqual((self.browser.value(), self.application.read), (message * 1200, True))

    def test_f32_what_was_read_before_the_end_is_not_lost(self) -> None:
        sent = frame(TEXT, b"x") * 2000 + frame(CLOSE, close_payload(1000))
        self.bridge.application.dataReceived(sent)
        self.bridge.application.readConnectionLost()
        self.assertEqual(self.browser.value(), sent)
        # Nothing is read from it again: the reactor would tell of its end again.
        self.clock.turn()
        self.assertFalse(self.application.read)

    def test_f32_our_own_close_comes_between_two_frames(self) -> None:
        message = frame(TEXT, b"x")
        self.bridge.application.dataReceived(message * 2000)
        self.bridge.close(1001, "bye")
        for _ in range(5):
            self.clock.turn()
        self.assertEqual(self.browser.value(), message * 512 + frame(CLOSE, close_payload(1001, "bye")))

    def test_f32_a_flood_of_empty_frames_ends_the_websocket(self) -> None:
        for name in ("browser", "application"):
            self.setUp()
            end = getattr(self.bridge, name)
            end.dataReceived(frame(TEXT) * (READ // 2))
            for _ in range(10):
                self.clock.turn()
            self.assertLess(end.other.transport.value().count(frame(TEXT)), EMPTY_FRAMES + 1024)
            self.assertIn(close_payload(1008, "Too many empty frames"), self.browser.value())

    def test_f32_empty_frames_now_and_then_are_carried_for_ever(self) -> None:
        for _ in range(3 * EMPTY_FRAMES):
            self.bridge.browser.dataReceived(frame(TEXT))
            self.clock.rightNow += 0.01
        self.assertEqual(self.application.value(), frame(TEXT) * 3 * EMPTY_FRAMES)


class _Former:
    def connectionLost(self, reason: Failure) -> None:
        pass
