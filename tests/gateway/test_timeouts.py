"""No application holds a request for ever, but where it may (contract section 5)."""

from __future__ import annotations

import json

from twisted.internet import reactor

from sandbox.domain.model import Destination, Preview, Target
from sandbox.policy.pooling import PoolLimits
from tests.gateway.stage import GET, GatewayCase
from tests.turns import SteppedClock

POST = b"POST /previews/s1/ HTTP/1.1\r\nHost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Applications(GatewayCase):
    """Deadlines of applications, by a clock that the test moves."""

    clock: SteppedClock
    pool_limits = PoolLimits(idle_seconds=4)

    def setUp(self) -> None:
        self.clock = SteppedClock()
        super().setUp()

    async def test_no_answer_is_504(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        await self.clock.pass_time(self.response_timeout - 1)
        self.assertEqual(wire.received, b"")
        await self.clock.pass_time(2)
        answer = await wire.answer()
        payload = json.loads(answer.body)
        self.assertEqual((answer.status, payload["message"]), (504, "Preview server timed out"))
        await peer.closed()

    async def test_what_was_taken_and_not_answered_is_not_sent_again(self) -> None:
        wire = await self.asked_again()
        await self.application.request()
        await self.clock.pass_time(self.response_timeout + 1)
        self.assertEqual((await wire.answer()).status, 504)
        self.assertEqual(len(self.application.peers), 1)

    async def test_half_a_head_is_no_answer(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nA: ")
        await self.clock.pass_time(self.response_timeout + 1)
        self.assertEqual((await wire.answer()).status, 504)

    async def test_an_upload_under_way_is_no_silence(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 5\r\n\r\n")
        peer = await self.application.peer()
        for letter in b"abcde":
            # Not so long that the client would be at fault.
            await self.clock.pass_time(self.limits.upload_timeout - 2)
            wire.send(bytes([letter]))
            await peer.until(lambda letter=letter: True if peer.received.endswith(bytes([letter])) else None)
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_a_body_may_take_as_long_as_it_likes(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n")
        await wire.bytes(b"\r\n\r\n")
        await self.clock.pass_time(10 * self.response_timeout)
        peer.send(b"ok")
        self.assertEqual((await wire.answer()).body, b"ok")

    async def test_idle_connections_are_closed(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        await wire.answer()
        self.assertEqual(self.pool.idle, 1)
        await self.clock.pass_time(5)
        await peer.closed()
        self.assertEqual(self.pool.idle, 0)

    async def test_expect_is_answered_for_an_application_that_knows_none(self) -> None:
        """RFC 9110 section 10.1.1; Go's ExpectContinueTimeout."""
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        await self.application.request()
        await self.clock.pass_time(self.options.continue_timeout + 1)
        self.assertEqual((await wire.answer()).status, 100)
        wire.send(b"ab")
        peer = await self.application.peer()
        await peer.bytes(b"ab")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n" + OK)
        self.assertEqual((await wire.answer()).status, 200, "100 is said once")


class Unhurried(GatewayCase):
    """No time is set for answers."""

    clock: SteppedClock
    response_timeout = 0.0

    def setUp(self) -> None:
        self.clock = SteppedClock()
        super().setUp()

    async def test_an_answer_may_take_as_long_as_it_likes(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        await self.clock.pass_time(10_000, step=100)
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)


class Unreachable(GatewayCase):
    """A host that drops what is sent to it."""

    connect_timeout = 0.5

    async def test_connecting_in_vain_is_502_and_a_client_that_leaves_ends_it(self) -> None:
        silent = reactor.listenTCP(0, self.application, interface="127.0.0.1", backlog=1)
        silent.stopReading()
        number = silent.getHost().port
        self.resolver.previews["s1"] = Destination(
            Preview(session_id="s1", port=number), Target("c", "t", "127.0.0.1", number)
        )
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
