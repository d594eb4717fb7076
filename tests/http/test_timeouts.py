"""Nobody holds a connection for ever (contract section 5; one byte every 59 s held Twisted's for ever)."""

from __future__ import annotations

import json

from twisted.internet.error import ConnectionDone

from sandbox.http.admission import Buffer
from tests.gateway.stage import GET, GatewayCase
from tests.turns import SteppedClock

POST = b"POST /previews/s1/ HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Clients(GatewayCase):
    """Deadlines of clients, by a clock that the test moves."""

    clock: SteppedClock

    def setUp(self) -> None:
        self.clock = SteppedClock()
        super().setUp()

    async def test_a_slow_head_is_408_however_steadily_it_trickles(self) -> None:
        wire = await self.wire()
        for byte in GET % b"/" + b"x" * 1000:
            if wire.received:
                break
            wire.send(bytes([byte]))
            await self.clock.pass_time(0.6)
        answer = await wire.answer()
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (408, "REQUEST_TIMEOUT"))
        self.assertEqual(self.application.peers, [])

    async def test_an_idle_connection_is_closed_without_a_word(self) -> None:
        wire = await self.wire()
        await self.eventually(lambda: self.site.counters.connections)
        await self.clock.pass_time(self.limits.idle_timeout - 2)
        self.assertIsNone(wire.lost)
        await self.clock.pass_time(3)
        self.assertIsInstance(await wire.closed(), ConnectionDone)
        self.assertEqual(wire.received, b"")

    async def test_an_idle_connection_is_closed_after_its_last_request(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        await wire.answer()
        await self.clock.pass_time(self.limits.idle_timeout + 1)
        await wire.closed()
        self.assertEqual(wire.received, b"")

    async def test_an_application_may_take_longer_than_a_client(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        await self.clock.pass_time(1.5 * self.limits.idle_timeout)
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n")
        await wire.bytes(b"\r\n\r\n")
        await self.clock.pass_time(10 * self.limits.idle_timeout)
        peer.send(b"data: 1\n\n")
        await wire.bytes(b"data: 1\n\n")

    async def test_an_upload_that_stalls_is_408_and_the_application_is_left(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 10\r\n\r\nabc")
        peer, _ = await self.application.request(end=b"abc")
        await self.clock.pass_time(self.limits.upload_timeout + 1)
        answer = await wire.answer()
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (408, "UPLOAD_TIMEOUT"))
        await peer.closed()

    async def test_a_streamed_upload_that_goes_on_slowly_is_not_cut(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 6\r\n\r\n")
        peer = await self.application.peer()
        for letter in b"abcdef":
            wire.send(bytes([letter]))
            await peer.until(lambda letter=letter: True if peer.received.endswith(bytes([letter])) else None)
            await self.clock.pass_time(self.limits.upload_timeout - 2)
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_a_buffered_body_that_trickles_is_408(self) -> None:
        """No sum of small steps keeps a connection for ever."""
        self.site.admit = lambda request: Buffer(1000)
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 1000\r\n\r\n")
        for _ in range(900):
            if wire.received:
                break
            wire.send(b"x")
            await self.clock.pass_time(1)
        self.assertEqual((await wire.answer()).status, 408)

    async def test_a_reader_that_takes_nothing_is_dropped(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 30_000_000)
        await self.clock.pass_until(lambda: peer.lost is not None)
        await self.eventually(lambda: self.site.counters.connections == 0)
        wire.abort()

    async def test_a_slow_reader_that_goes_on_is_not_dropped(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        size = 30_000_000
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        for _ in range(5):
            await self.clock.pass_time(self.limits.idle_timeout - 2)
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
            await self.clock.pass_time(1)
        self.assertIsNotNone(wire.lost)
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"connection")), (404, b"close"))
