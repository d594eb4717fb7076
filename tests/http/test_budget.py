"""What one client may have the daemon do in a turn of the reactor (F32, F33)."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sandbox.http.admission import STREAM, Admission, Buffer, Refuse
from sandbox.http.limits import Limits
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.http.site import Site
from sandbox.net.fairness import PAUSE
from sandbox.protocols.http1 import grammar, heads
from tests.turns import TurningClock

TINY = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#: As much as one read brings.
READ = 64 * 1024


class Client(StringTransport):
    """A transport that tells how it was ended."""

    connected = True
    ended = ""

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseConnection(self) -> None:
        self.ended = self.ended or "closed"

    def loseWriteConnection(self) -> None:
        self.ended = self.ended or "closed"

    def abortConnection(self) -> None:
        self.ended = self.ended or "aborted"

    @property
    def read(self) -> bool:
        """Whether the daemon reads from it."""
        return self.producerState == "producing"


class Pattern:
    """A regular expression that counts the bytes it is given to look at."""

    def __init__(self, pattern: Any) -> None:
        self._pattern = pattern
        self.bytes = 0

    def match(self, data: bytes) -> Any:
        found = self._pattern.match(data)
        self.bytes += len(data) if found is None else found.end()
        return found

    fullmatch = match


class LineEnds:
    """``has_broken_line``, which counts the bytes it looks at."""

    def __init__(self) -> None:
        self._judge = grammar.has_broken_line
        self.bytes = 0

    def __call__(self, data: bytes, searched: int = 0) -> bool:
        self.bytes += len(data) - max(0, searched - 1)
        return self._judge(data, searched)


class Bodies(Resource):
    """Takes bodies, in the pieces in which they come."""

    isLeaf = True
    min_progress = 1

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[bytes] = []
        self.requests: list[Request] = []
        self.ended = 0
        self.answers: Deferred[None] | None = None

    def render(self, request: Any) -> int:
        self.requests.append(request)
        request.stream_body(self)
        return NOT_DONE_YET

    def body_received(self, data: bytes) -> None:
        self.pieces.append(data)

    def body_ended(self, trailers: object) -> None:
        self.ended += 1
        self.requests[-1].respond(Reply(204, None, ()))

    def body_failed(self, error: grammar.Malformed) -> None:
        raise error


class ServerCase(SynchronousTestCase):
    limits = Limits()

    def setUp(self) -> None:
        self.clock = TurningClock()
        self.begun: list[Request] = []
        self.bodies = Bodies()
        self.takes = 0.0
        self.admission: Admission = Refuse(Reply(204, None, ()))
        self.site = Site(self.bodies, self.clock, admit=self.admit, limits=self.limits)  # type: ignore[arg-type]

    def admit(self, request: Request) -> Admission:
        self.begun.append(request)
        self.clock.rightNow += self.takes
        return self.admission

    def client(self) -> tuple[Any, Client]:
        """A connection, both ends of it."""
        channel, client = self.site.buildProtocol(None), Client()
        channel.makeConnection(client)
        return channel, client

    def turn(self) -> int:
        """How many requests were begun since the turn before, then the next turn."""
        begun = len(self.begun)
        self.begun.clear()
        self.clock.turn()
        return begun


class Requests(ServerCase):
    def test_f32_of_a_read_full_of_requests_a_few_are_begun_in_each_turn(self) -> None:
        number = READ // len(TINY)
        channel, client = self.client()
        channel.dataReceived(TINY * number)
        counts = []
        while not client.read:
            counts.append(self.turn())
        counts.append(self.turn())
        self.assertEqual((max(counts), sum(counts)), (8, number))
        self.assertEqual(client.value().count(b"HTTP/1.1 204"), number)
        # And then it goes on as ever.
        channel.dataReceived(TINY)
        self.assertEqual(self.turn(), 1)

    def test_f32_requests_that_take_long_are_fewer(self) -> None:
        self.takes = 0.0006
        channel, client = self.client()
        channel.dataReceived(TINY * 20)
        counts = [self.turn() for _ in range(8)]
        self.assertLessEqual(max(counts), 3)
        while not client.read:
            counts.append(self.turn())
        self.assertEqual(sum(counts) + self.turn(), 20)

    def test_f32_all_that_are_behind_together_get_two_milliseconds_a_turn(self) -> None:
        self.takes = 0.0004
        for _ in range(64):
            self.client()[0].dataReceived(TINY * 50)
        # The first to come finds nobody behind; each later one begins a single request, and waits.
        self.assertLessEqual(self.turn(), 64 + 8)
        self.assertLessEqual(max(self.turn() for _ in range(100)), 6)

    def test_f32_each_of_those_that_are_behind_has_its_turn(self) -> None:
        connections = [self.client() for _ in range(5)]
        for channel, _ in connections:
            channel.dataReceived(TINY * 30)
        self.turn()
        for _ in range(4):
            self.turn()
            self.assertEqual(sorted({self.begun.count(each) for each in self.begun}), [1])
            answered = [client.value().count(b"HTTP/1.1 204") for _, client in connections]
            self.assertLessEqual(max(answered[1:]) - min(answered[1:]), 1)

    def test_f32_what_comes_in_spite_of_all_waits(self) -> None:
        """The reactor may have had the event already when it was told to read no more."""
        channel, client = self.client()
        channel.dataReceived(TINY * 20)
        channel.dataReceived(TINY * 20)
        self.assertEqual(self.turn(), 8)
        while not client.read:
            self.turn()
        self.assertEqual(client.value().count(b"HTTP/1.1 204"), 40)

    def test_f32_a_pipelined_request_does_not_begin_in_the_event_that_ended_the_one_before_it(self) -> None:
        """Else an application that answers at once, with nothing that can be used, has all of its clients go on."""
        self.admission = STREAM
        channel, client = self.client()
        self.bodies.body_ended = lambda trailers: None  # type: ignore[method-assign]
        channel.dataReceived(TINY * 3)
        for number in range(1, 4):
            self.assertEqual(len(self.bodies.requests), number)
            self.bodies.requests[-1].respond(Reply(204, None, ()))
            self.assertEqual(client.value().count(b"HTTP/1.1 204"), number)
            self.assertEqual(len(self.bodies.requests), number)
            self.clock.turn()
        self.assertTrue(client.read)

    def test_f32_a_client_that_leaves_has_no_more_done_for_it(self) -> None:
        channel, client = self.client()
        channel.dataReceived(TINY * 100)
        channel.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.turn(), 8)
        self.assertEqual((self.turn(), self.site.counters.connections, client.read), (0, 0, False))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_f32_a_head_that_is_behind_and_not_whole_has_its_time(self) -> None:
        channel, client = self.client()
        channel.dataReceived(TINY * 20 + TINY[:-2])
        while not client.read:
            self.turn()
        self.clock.advance(self.limits.head_timeout - 1)
        self.assertEqual(client.ended, "")
        self.clock.pump([0.5] * 4)
        self.assertIn(b"HTTP/1.1 408", client.value())

    def test_f32_an_idle_connection_that_was_behind_has_its_time(self) -> None:
        channel, client = self.client()
        channel.dataReceived(TINY * 20)
        while not client.read:
            self.turn()
        self.clock.pump([1.0] * int(self.limits.idle_timeout - 1))
        self.assertEqual(client.ended, "")
        self.clock.pump([1.0] * 3)
        self.assertEqual(client.ended, "closed")


class EmptyLines(ServerCase):
    def test_f32_a_few_before_a_request_are_read_over(self) -> None:
        channel, client = self.client()
        channel.dataReceived(b"\r\n" * 16 + TINY + b"\r\n" + TINY)
        channel.dataReceived(b"\r")
        channel.dataReceived(b"\n" + TINY)
        self.assertEqual(client.value().count(b"HTTP/1.1 204"), 3)

    def test_f32_a_flood_of_them_is_refused_at_once(self) -> None:
        channel, client = self.client()
        pattern = Pattern(heads._EMPTY_LINES)
        self.patch(heads, "_EMPTY_LINES", pattern)
        channel.dataReceived(b"\r\n" * (READ // 2))
        self.assertIn(b"HTTP/1.1 400", client.value())
        self.assertEqual((client.ended, pattern.bytes), ("closed", 2 * 17))

    def test_f32_so_is_one_that_trickles(self) -> None:
        channel, client = self.client()
        for _ in range(100):
            channel.dataReceived(b"\r\n")
        self.assertEqual(client.value().count(b"HTTP/1.1 400"), 1)
        self.assertEqual(client.ended, "closed")


class Refusals(ServerCase):
    """Clients that send what is no request, and come again for each answer."""

    def refused(self) -> int:
        """How many have their answer."""
        return sum(b"HTTP/1.1 400" in client.value() for _, client in self.clients)

    def setUp(self) -> None:
        super().setUp()
        self.clients = [self.client() for _ in range(20)]

    def test_f32_a_few_are_refused_at_once_and_the_others_at_a_pace(self) -> None:
        for channel, _ in self.clients:
            channel.dataReceived(b"\r\n" * 100)
        counts = [self.refused()]
        while counts[-1] < len(self.clients):
            self.clock.advance(PAUSE)
            counts.append(self.refused())
        self.assertEqual(counts, [4, 8, 12, 16, 20])
        self.assertEqual({client.ended for _, client in self.clients}, {"closed"})

    def test_f32_while_they_wait_nothing_is_read_from_them_and_other_clients_are_served(self) -> None:
        for channel, _ in self.clients:
            channel.dataReceived(b"GET /\r\n\r\n")
        self.assertEqual([client.read for _, client in self.clients], [False] * 20)
        channel, client = self.client()
        channel.dataReceived(TINY)
        self.assertIn(b"HTTP/1.1 204", client.value())

    def test_f32_one_that_leaves_has_no_answer_made_for_it(self) -> None:
        for channel, _ in self.clients:
            channel.dataReceived(b"GET /\r\n\r\n")
            channel.connectionLost(Failure(ConnectionDone()))
        self.clock.pump([PAUSE] * 10)
        self.assertEqual((self.site.traffic.refused[400], len(self.site.refusals)), (4, 0))

    def test_f32_what_they_go_on_to_send_is_read_at_a_pace(self) -> None:
        """9.8 GB were read and dropped in 8 s."""
        clients = self.clients[:3]
        for channel, _ in clients:
            channel.dataReceived(b"GET /\r\n\r\n")
        reads = 0
        for _ in range(10):
            self.assertEqual([client.read for _, client in clients], [False] * 3)
            self.clock.advance(PAUSE)
            for channel, client in clients:
                if client.read:
                    reads += 1
                    channel.dataReceived(b"x" * READ)
        self.assertEqual(reads, 30)

    def test_f32_one_that_waits_for_its_answer_is_not_answered_when_the_site_drains_first(self) -> None:
        for channel, _ in self.clients:
            channel.dataReceived(b"GET /\r\n\r\n")
        self.site.drain(1.0)
        before = self.refused()
        self.clock.pump([PAUSE] * 10)
        self.assertEqual(self.refused(), before)


class TinyChunks(ServerCase):
    def setUp(self) -> None:
        super().setUp()
        self.admission = STREAM
        self.number = READ // 6
        self.body = b"1\r\nx\r\n" * self.number

    def test_f32_pieces_of_one_read_are_one(self) -> None:
        channel, _ = self.client()
        channel.dataReceived(CHUNKED + b"1\r\na\r\n2\r\nbc\r\n1\r\nd\r\n")
        channel.dataReceived(b"1\r\ne\r\n1\r\nf\r\n0\r\n\r\n")
        self.assertEqual((self.bodies.pieces, self.bodies.ended), ([b"abcd", b"ef"], 1))

    def test_f32_of_a_read_full_of_chunks_some_hundreds_are_taken_in_each_turn(self) -> None:
        channel, client = self.client()
        channel.dataReceived(CHUNKED + self.body)
        while not client.read:
            self.turn()
        self.assertEqual(max(map(len, self.bodies.pieces)), 256)
        self.assertEqual(len(self.bodies.pieces), -(-self.number // 256))
        channel.dataReceived(b"0\r\n\r\n" + CHUNKED + b"0\r\n\r\n")
        self.turn()
        self.assertEqual((sum(map(len, self.bodies.pieces)), self.bodies.ended), (self.number, 2))

    def test_f32_who_takes_them_may_stop_the_client_meanwhile(self) -> None:
        channel, client = self.client()
        channel.dataReceived(CHUNKED + self.body + b"0\r\n\r\n")
        for pieces in range(1, 5):
            self.assertEqual(len(self.bodies.pieces), pieces)
            self.bodies.requests[0].pause_body()
            self.turn()
            self.turn()
            self.assertEqual(len(self.bodies.pieces), pieces)
            self.bodies.requests[0].resume_body()
            self.turn()
        while not client.read:
            self.turn()
        self.assertEqual((sum(map(len, self.bodies.pieces)), self.bodies.ended), (self.number, 1))

    def test_f32_one_that_is_buffered_arrives_whole(self) -> None:
        self.admission = Buffer(READ)
        read: list[bytes] = []
        self.bodies.render = lambda request: read.append(request.content.read()) or b""  # type: ignore[method-assign]
        channel, client = self.client()
        channel.dataReceived(CHUNKED + self.body + b"0\r\n\r\n" + TINY)
        while not client.read:
            self.turn()
        self.assertEqual(read, [b"x" * self.number, b""])

    def test_f32_one_that_is_too_large_is_refused_while_it_is_behind(self) -> None:
        self.admission = Buffer(1000)
        channel, client = self.client()
        channel.dataReceived(CHUNKED + self.body)
        while not client.ended:
            self.turn()
        self.assertIn(b"HTTP/1.1 413", client.value())
        self.assertEqual(client.ended, "closed")


class SlowHeads(ServerCase):
    def test_f33_each_byte_of_a_head_is_looked_at_once_or_twice(self) -> None:
        """60 kB, and then byte by byte: the whole head was searched again at each of them."""
        patterns = [LineEnds(), Pattern(grammar._REQUEST_LINE), Pattern(grammar._NAME)]
        for name, pattern in zip(("has_broken_line", "_REQUEST_LINE", "_NAME"), patterns, strict=True):
            self.patch(grammar, name, pattern)
        line = b"GET /" + b"a" * 8000 + b" HTTP/1.1\r\n"
        fields = (b"A: " + b"b" * 497 + b"\r\n") * 100
        for head, rest in ((line + fields, b""), (line + b"A: " + b"b" * 50_000, b"\r\n")):
            for pattern in patterns:
                pattern.bytes = 0
            channel, client = self.client()
            channel.dataReceived(head[:2000])
            for place in range(2000, len(head)):
                channel.dataReceived(head[place : place + 1])
            self.assertEqual(client.value(), b"")
            channel.dataReceived(rest + b"Host: a\r\n\r\n")
            self.assertIn(b"HTTP/1.1 204", client.value())
            # Two at each arrival, since the byte before may be a CR; the line once when it is whole, and the parsing.
            self.assertLess(sum(pattern.bytes for pattern in patterns), 4 * len(head))

    def test_f33_a_head_that_comes_in_many_pieces_is_read_at_a_pace(self) -> None:
        """128,000 bytes a second were read one by one."""
        channel, client = self.client()
        channel.dataReceived(TINY[:-2] + b"A: ")
        for _ in range(8):
            self.assertTrue(client.read)
            channel.dataReceived(b"b")
        for _ in range(5):
            self.assertFalse(client.read)
            self.clock.advance(PAUSE)
            self.assertTrue(client.read)
            channel.dataReceived(b"b")
        self.clock.advance(PAUSE)
        channel.dataReceived(b"\r\n\r\n" + TINY)
        self.assertEqual((client.value().count(b"HTTP/1.1 204"), client.read), (2, True))

    def test_f33_of_many_such_a_few_are_read_together(self) -> None:
        clients = [self.client() for _ in range(40)]
        for channel, _ in clients:
            for byte in TINY[:20]:
                channel.dataReceived(bytes([byte]))
        counts = []
        for _ in range(4):
            self.clock.advance(PAUSE)
            counts.append(sum(client.read for _, client in clients))
        self.assertEqual(counts, [16, 32, 40, 40])

    def test_f33_one_that_is_read_at_a_pace_has_no_more_time_than_others(self) -> None:
        channel, client = self.client()
        for _ in range(300):
            if client.read and not client.value():
                channel.dataReceived(TINY[:1] if channel.holding else TINY[:-2])
            self.clock.advance(0.1)
        self.assertIn(b"HTTP/1.1 408", client.value())

    def test_f33_what_is_wrong_is_found_wherever_the_head_is_cut(self) -> None:
        for head in (b"GET / HTTP/1.1\r\nHost: a\nB: c\r\n\r\n", b"GET / HTTP/1.1\r\nA\rB: c\r\n", b"GET / HT\0"):
            for place in range(1, len(head)):
                channel, client = self.client()
                channel.dataReceived(head[:place])
                channel.dataReceived(head[place:])
                self.clock.advance(PAUSE)
                self.assertIn(b"HTTP/1.1 400", client.value(), (head, place))
            channel, client = self.client()
            for byte in head:
                channel.dataReceived(bytes([byte]))
            self.clock.advance(PAUSE)
            self.assertIn(b"HTTP/1.1 400", client.value(), head)
