"""Nobody holds a connection for ever (contract section 5; ../attacks: one byte every 59 s held Twisted's for ever)."""

from __future__ import annotations

import json

from twisted.internet import reactor
from twisted.internet.error import ConnectionDone

from sandbox.domain.model import Destination, Preview, Target
from sandbox.gateway.resource import GatewayOptions
from sandbox.http.admission import Buffer
from sandbox.http.limits import Limits
from sandbox.net.deadlines import NEVER
from sandbox.policy.pooling import PoolLimits
from tests.gateway.stage import GET, GatewayCase

POST = b"POST /previews/s1/ HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Clients(GatewayCase):
    """Deadlines of clients, short here."""

    limits = Limits(head_timeout=0.5, idle_timeout=0.7, upload_timeout=0.5, linger=1.0, linger_pause=0.4)

    async def test_a_slow_head_is_408_however_steadily_it_trickles(self) -> None:
        wire = await self.wire()
        for byte in GET % b"/" + b"x" * 1000:
            if wire.received:
                break
            wire.send(bytes([byte]))
            await self.pause(0.03)
        answer = await wire.answer()
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (408, "REQUEST_TIMEOUT"))
        self.assertEqual(self.application.peers, [])

    async def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        wire = await self.wire()
        self.assertIsInstance(await wire.closed(), ConnectionDone)
        self.assertEqual(wire.received, b"")

    async def test_an_idle_connection_is_closed_after_its_last_request(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        await wire.answer()
        await wire.closed()
        self.assertEqual(wire.received, b"")

    async def test_an_application_may_take_longer_than_a_client(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        await self.pause(1.0)
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.bytes(b"\r\n\r\n")
        await self.pause(1.0)
        peer.send(b"data: 1\n\n")
        await wire.bytes(b"data: 1\n\n")

    async def test_an_upload_that_stalls_is_408_and_the_application_is_left(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 10\r\n\r\nabc")
        peer, _ = await self.application.request(end=b"abc")
        answer = await wire.answer()
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (408, "UPLOAD_TIMEOUT"))
        await peer.closed()

    async def test_a_streamed_upload_that_goes_on_slowly_is_not_cut(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 6\r\n\r\n")
        for letter in b"abcdef":
            wire.send(bytes([letter]))
            await self.pause(0.25)
        peer = await self.application.peer()
        await peer.bytes(b"abcdef")
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_a_buffered_body_that_trickles_is_408(self) -> None:
        """No sum of small steps keeps a connection for ever."""
        self.site.admit = lambda request: Buffer(1000)
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 100\r\n\r\n")
        for _ in range(100):
            if wire.received:
                break
            wire.send(b"x")
            await self.pause(0.05)
        self.assertEqual((await wire.answer()).status, 408)

    async def test_a_reader_that_takes_nothing_is_dropped(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 30_000_000)
        await peer.closed()
        await self.eventually(lambda: self.site.counters.connections == 0)
        wire.abort()

    async def test_a_slow_reader_that_goes_on_is_not_dropped(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        size = 60_000_000
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        for _ in range(5):
            await self.pause(0.4)
            wire.transport.resumeProducing()
            taken = len(wire.received)
            await wire.until(lambda taken=taken: True if len(wire.received) > taken + 1_000_000 else None)
            wire.transport.pauseProducing()
        wire.transport.resumeProducing()
        self.assertEqual(len((await wire.answer()).body), size)

    async def test_after_a_refusal_the_client_gets_time_to_read_it_and_no_more(self) -> None:
        """RFC 9112 section 9.6: closing on unread bytes would reset the connection."""
        wire = await self.wire()
        wire.send(b"POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\n")
        for _ in range(100):
            if wire.lost is not None:
                break
            wire.send(b"x" * 10_000)
            await self.pause(0.05)
        self.assertIsNotNone(wire.lost)
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"connection")), (404, b"close"))


class Applications(GatewayCase):
    """Deadlines of applications, short here."""

    response_timeout = 0.5
    pool_limits = PoolLimits(idle_seconds=0.5)
    options = GatewayOptions(continue_timeout=0.2, health_timeout=0.5)

    async def test_no_answer_is_504(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        answer = await wire.answer()
        payload = json.loads(answer.body)
        self.assertEqual((answer.status, payload["message"]), (504, "Preview server timed out"))
        await peer.closed()

    async def test_what_was_taken_and_not_answered_is_not_sent_again(self) -> None:
        wire = await self.asked_again()
        self.assertEqual((await wire.answer()).status, 504)
        self.assertEqual(len(self.application.peers), 1)

    async def test_half_a_head_is_no_answer(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nA: ")
        self.assertEqual((await wire.answer()).status, 504)

    async def test_an_upload_under_way_is_no_silence(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 5\r\n\r\n")
        for letter in b"abcde":
            await self.pause(0.25)
            wire.send(bytes([letter]))
        peer, _ = await self.application.request(end=b"abcde")
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_a_body_may_take_as_long_as_it_likes(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await self.pause(1.0)
        peer.send(b"ok")
        self.assertEqual((await wire.answer()).body, b"ok")

    async def test_idle_connections_are_closed(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        await wire.answer()
        self.assertEqual(self.pool.idle, 1)
        await peer.closed()
        self.assertEqual(self.pool.idle, 0)

    async def test_expect_is_answered_for_an_application_that_knows_none(self) -> None:
        """RFC 9110 section 10.1.1; Go's ExpectContinueTimeout."""
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        await self.application.request()
        self.assertEqual((await wire.answer()).status, 100)
        wire.send(b"ab")
        peer = await self.application.peer()
        await peer.bytes(b"ab")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        self.assertEqual((await wire.answer()).status, 200, "100 is said once")


class Unhurried(GatewayCase):
    """No time is set for answers."""

    response_timeout = 0.0

    async def test_an_answer_may_take_as_long_as_it_likes(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        (upstream,) = self.pool._open
        self.assertEqual(upstream.deadline, NEVER)
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)


class Unreachable(GatewayCase):
    """A host that drops what is sent to it."""

    async def test_connecting_in_vain_is_502_and_a_client_that_leaves_ends_it(self) -> None:
        silent = reactor.listenTCP(0, self.application, interface="127.0.0.1", backlog=1)
        silent.stopReading()
        number = silent.getHost().port
        self.resolver.previews["s1"] = Destination(
            Preview(session_id="s1", port=number), Target("c", "t", "127.0.0.1", number)
        )
        self.pool._connect_timeout = 0.5
        # A full backlog drops further handshakes on the floor.
        wires = [await self.wire() for _ in range(8)]
        for wire in wires:
            wire.send(GET % b"/")
        await self.pause(0.2)
        wires[7].abort()
        for wire in wires[4:7]:
            answer = await wire.answer()
            self.assertEqual(
                (answer.status, json.loads(answer.body)["message"]), (502, "Failed to connect to preview server")
            )
        for wire in wires:
            wire.abort()
        await self.eventually(lambda: len(self.pool) == 0)
        await silent.stopListening()
