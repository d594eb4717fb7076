"""Connections to applications: kept, keyed by a container's life, replaced once, limited (contract section 5)."""

from __future__ import annotations

import json

import attrs
from twisted.internet import reactor

from sandbox.domain.model import Destination, Preview, Target
from sandbox.policy.pooling import PoolLimits
from tests.gateway.stage import GET, Application, GatewayCase

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST /previews/s1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"
LINGER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"


class Reuse(GatewayCase):
    """What is kept for the next request."""

    async def test_a_connection_is_used_again_whoever_asks(self) -> None:
        for _ in range(3):
            wire = await self.wire()
            wire.send(GET % b"/")
            peer, _ = await self.application.request()
            peer.send(OK)
            self.assertEqual((await wire.answer()).body, b"ok")
        self.assertEqual((len(self.application.peers), self.pool.counters.reused, self.pool.idle), (1, 2, 1))

    async def test_one_that_the_application_wants_closed_is_not(self) -> None:
        for response in (LINGER, b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"):
            index = len(self.application.peers)
            wire = await self.wire()
            wire.send(GET % b"/")
            peer, _ = await self.application.request(index)
            peer.send(response)
            await wire.answer()
            await peer.closed()
        self.assertEqual(self.pool.idle, 0)

    async def test_http_1_0_with_keep_alive_is_used_again(self) -> None:
        wire = await self.wire()
        for _ in range(2):
            wire.send(GET % b"/")
            peer, _ = await self.application.request()
            peer.send(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok")
            await wire.answer()
        self.assertEqual(len(self.application.peers), 1)

    async def test_another_life_of_the_container_gets_new_connections(self) -> None:
        """e2b's pools, D21 of the attacks: an address that went to another container must not be known by its bytes."""
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        await wire.answer()
        found = self.resolver.previews["s1"]
        self.register(container="c2")
        anew = attrs.evolve(found, target=attrs.evolve(found.target, started_at="t2"))
        for index, another in enumerate((self.resolver.previews["s1"], anew), 1):
            self.resolver.previews["s1"] = another
            wire.send(GET % b"/")
            other, _ = await self.application.request(index)
            other.send(OK)
            await wire.answer()
        self.assertEqual(peer.received, b"")
        keys = {entry.key for entry in self.pool._state._entries.values()}
        port = self.application.number
        self.assertEqual(keys, {("c1", "t1", port), ("c2", "t1", port), ("c1", "t2", port)})

    async def test_one_that_the_application_closed_meanwhile_is_not_used(self) -> None:
        wire = await self.wire()
        for index in range(2):
            wire.send(POST)
            peer, _ = await self.application.request(index, b"x")
            peer.send(OK)
            await wire.answer()
            peer.transport.loseConnection()
            await self.eventually(lambda: self.pool.idle == 0)


class Stale(GatewayCase):
    """A kept connection that dies under a request."""

    async def keep(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        await wire.answer()

    async def test_a_bodiless_idempotent_request_is_sent_once_more(self) -> None:
        for method in (b"GET", b"HEAD", b"OPTIONS", b"DELETE"):
            await self.pool_is_empty()
            index = len(self.application.peers)
            await self.keep_at(index)
            wire = await self.wire()
            wire.send(b"%b /previews/s1/again HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            peer, _ = await self.application.request(index)
            peer.abort()
            second, seen = await self.application.request(index + 1)
            self.assertTrue(seen.startswith(method + b" /again "))
            second.send(b"HTTP/1.1 204 OK\r\nConnection: close\r\n\r\n")
            self.assertEqual((await wire.answer()).status, 204)

    async def keep_at(self, index: int) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request(index)
        peer.send(OK)
        await wire.answer()

    async def pool_is_empty(self) -> None:
        self.pool.drop_session("s1")
        await self.eventually(lambda: len(self.pool) == 0)

    async def test_it_is_replaced_once_and_no_more(self) -> None:
        await self.keep()
        wire = await self.wire()
        wire.send(GET % b"/")
        for index in range(2):
            peer, _ = await self.application.request(index)
            peer.abort()
        answer = await wire.answer()
        self.assertEqual(
            (answer.status, json.loads(answer.body)["message"]), (502, "Failed to connect to preview server")
        )
        self.assertEqual(len(self.application.peers), 2)

    async def test_what_must_not_be_sent_twice_is_not(self) -> None:
        for data in (
            POST,
            b"POST /previews/s1/x HTTP/1.1\r\nHost: a\r\n\r\n",
            GET[:-2] % b"/x" + b"Content-Length: 1\r\n\r\nx",
        ):
            await self.pool_is_empty()
            index = len(self.application.peers)
            await self.keep_at(index)
            wire = await self.wire()
            wire.send(data)
            peer, _ = await self.application.request(index, data[-4:] if data.endswith(b"\r\n\r\n") else b"x")
            peer.abort()
            self.assertEqual((await wire.answer()).status, 502)
            self.assertEqual(len(self.application.peers), index + 1)

    async def test_what_got_a_byte_of_an_answer_is_not_sent_again(self) -> None:
        await self.keep()
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 2")
        await self.pause(0.1)
        peer.abort()
        self.assertEqual((await wire.answer()).status, 502)
        self.assertEqual(len(self.application.peers), 1)

    async def test_a_new_connection_that_dies_is_not_replaced(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.transport.loseConnection()
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"retry-after")), (502, b"2"))
        self.assertEqual(len(self.application.peers), 1)

    async def test_a_request_with_a_body_looks_whether_the_other_end_is_there(self) -> None:
        """The application's end arrived, but the reactor has not seen it yet."""
        await self.keep()
        upstream = next(iter(self.pool._open))
        upstream.transport.stopReading()
        peer = await self.application.peer()
        peer.transport.loseConnection()
        await peer.closed()
        wire = await self.wire()
        wire.send(POST)
        second, _ = await self.application.request(1, b"x")
        second.send(OK)
        self.assertEqual((await wire.answer()).status, 200)


class Limited(GatewayCase):
    """No session takes more than its share."""

    pool_limits = PoolLimits(open=2, idle=1)

    async def test_beyond_the_limit_is_503_with_retry_after(self) -> None:
        wires = [await self.wire() for _ in range(3)]
        for index, wire in enumerate(wires[:2]):
            wire.send(GET % b"/")
            await self.application.request(index)
        answer = await wires[2].ask(GET % b"/")
        self.assertEqual((answer.status, answer.get(b"retry-after")), (503, b"2"))
        self.assertEqual(json.loads(answer.body)["code"], "TOO_MANY_PREVIEW_CONNECTIONS")
        self.register("s2")
        wires[2].send(b"GET /previews/s2/ HTTP/1.1\r\nHost: a\r\n\r\n")
        peer, _ = await self.application.request(2)
        peer.send(OK)
        self.assertEqual((await wires[2].answer()).status, 200)

    async def test_idle_ones_beyond_their_limit_are_closed_the_oldest_first(self) -> None:
        wires = [await self.wire() for _ in range(2)]
        for index, wire in enumerate(wires):
            wire.send(GET % b"/")
            await self.application.request(index)
        for index, wire in enumerate(wires):
            self.application.peers[index].send(OK)
            await wire.answer()
        await self.application.peers[0].closed()
        self.assertEqual((self.pool.idle, len(self.pool)), (1, 1))


class Dropping(GatewayCase):
    """A container that stopped or went."""

    async def test_idle_ones_are_closed_and_what_is_under_way_is_broken_at_once(self) -> None:
        idle, waiting, streaming = [await self.wire() for _ in range(3)]
        idle.send(GET % b"/")
        first, _ = await self.application.request()
        waiting.send(GET % b"/")
        second, _ = await self.application.request(1)
        streaming.send(GET % b"/")
        third, _ = await self.application.request(2)
        first.send(OK)
        await idle.answer()
        third.send(b"HTTP/1.1 200 OK\r\n\r\nx")
        await streaming.bytes(b"x")
        self.pool.drop_session("other")
        self.assertEqual(len(self.pool), 3)
        self.pool.drop_session("s1")
        for peer in (first, second, third):
            await peer.closed()
        self.assertEqual((await waiting.answer()).status, 502)
        self.assertFalse((await streaming.answer()).complete)
        idle.send(GET % b"/")
        fourth, _ = await self.application.request(3)
        fourth.send(OK)
        self.assertEqual((await idle.answer()).status, 200)

    async def test_what_waits_on_one_that_was_used_before_is_not_sent_again(self) -> None:
        wire = await self.asked_again()
        await self.application.request()
        self.pool.drop_session("s1")
        self.assertEqual((await wire.answer()).status, 502)
        await self.pause(0.1)
        self.assertEqual((len(self.application.peers), len(self.pool)), (1, 0))

    async def test_after_closing_nothing_is_opened(self) -> None:
        await self.pool.close()
        answer = await (await self.wire()).ask(GET % b"/")
        self.assertEqual(answer.status, 502)
        self.assertEqual(self.application.peers, [])


class Refused(GatewayCase):
    """Nobody listens."""

    async def test_connection_refused_is_502(self) -> None:
        closed = reactor.listenTCP(0, self.application, interface="127.0.0.1")
        number = closed.getHost().port
        await closed.stopListening()
        self.resolver.previews["s1"] = Destination(
            Preview(session_id="s1", port=number), Target("c", "t", "127.0.0.1", number)
        )
        for data in (GET % b"/", POST):
            answer = await (await self.wire()).ask(data)
            payload = json.loads(answer.body)
            self.assertEqual((answer.status, answer.get(b"retry-after")), (502, b"2"))
            self.assertEqual(
                (payload["message"], payload["code"]), ("Failed to connect to preview server", "PREVIEW_UNREACHABLE")
            )
        self.assertEqual(len(self.pool), 0)

    async def test_an_ipv6_application(self) -> None:
        # An IPv6 address that is there even on machines whose loopback has only an IPv4 one.
        address = "::ffff:127.0.0.1"
        application = Application("127.0.0.1")
        number = application.number
        self.resolver.previews["s1"] = Destination(
            Preview(session_id="s1", port=number), Target("c", "t", address, number)
        )
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await application.request()
        peer.send(
            b"HTTP/1.1 302 Found\r\nLocation: http://[::ffff:127.0.0.1]:%d/x\r\nContent-Length: 0\r\n\r\n" % number
        )
        self.assertEqual((await wire.answer()).get(b"location"), b"/previews/s1/x")
        peer.abort()
        await peer.closed()
        await application.port.stopListening()
