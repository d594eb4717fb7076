"""F38, F39: a long answer is made while it is written, a piece in a turn of the reactor, as fast as it is read."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sandbox.http.replies import Reply
from sandbox.http.site import Limits, Site
from tests.http.wire import Wire, connect
from tests.waiting import pause, until

GET = b"GET /%b HTTP/1.1\r\nHost: x\r\n\r\n"
#: Of 1 kB each: a long answer, and one that is more than the buffers of both sockets hold.
MEMBERS, MANY = 4000, 60_000


class Long(Resource):
    """Answers with an array of many members; counts those that were made, and the turns of the reactor meanwhile."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.made = 0
        self.turns: set[int] = set()
        self.turn = 0
        self.over: Deferred[object] = Deferred()

    def count(self) -> None:
        self.turn += 1
        self.call = reactor.callLater(0, self.count)

    def members(self, count: int) -> Iterator[str]:
        for _ in range(count):
            self.made += 1
            self.turns.add(self.turn)
            yield "x" * 1000

    def broken(self) -> Iterator[str]:
        yield from ["x" * 1000] * 1000
        raise RuntimeError("the inside")

    def render(self, request: Any) -> int:
        if request.uri == b"/short":
            request.respond(Reply(200, {"short": True}))
            return NOT_DONE_YET
        request.notifyFinish().addBoth(lambda _: self.over.callback(None))
        count = MANY if request.uri == b"/many" else MEMBERS
        members = self.broken() if request.uri == b"/broken" else self.members(count)
        request.respond(Reply(200, {"members": members, "last": 1}))
        return NOT_DONE_YET


class Streaming(TestCase):
    timeout = 60

    async def setUp(self) -> None:
        self.resource = Long()
        self.site = Site(self.resource, reactor, limits=Limits(idle_timeout=0.3))
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.wire = await self.connected()
        self.resource.count()

    async def tearDown(self) -> None:
        self.resource.call.cancel()
        await self.port.stopListening()
        self.wire.abort()
        await self.wire.closed()
        self.site.abort()
        await until(lambda: not self.site.counters.connections)

    async def connected(self) -> Wire:
        return await connect(self.port.getHost().port)

    async def test_f39_each_piece_has_a_turn_of_its_own(self) -> None:
        answer = await self.wire.ask(GET % b"")
        self.assertEqual(len(json.loads(answer.body)["members"]), MEMBERS)
        self.assertEqual((answer.get(b"transfer-encoding"), answer.get(b"content-length")), (b"chunked", None))
        self.assertTrue(answer.complete)
        # Some 4 MB, of which 32 to 40 KiB are made at once; only the first 64 KiB are made together.
        self.assertGreater(len(self.resource.turns), 80)
        self.assertEqual(json.loads((await self.wire.ask(GET % b"short")).body), {"short": True})

    async def test_f38_a_client_that_does_not_read_has_no_more_made_than_fits_the_sockets(self) -> None:
        self.wire.transport.pauseProducing()
        self.wire.send(GET % b"many")
        # A client that never reads is dropped.
        await self.resource.over
        self.assertGreater(self.resource.made, 0)
        self.assertLess(self.resource.made, MANY)

    async def test_a_client_that_reads_on_gets_the_rest(self) -> None:
        self.wire.transport.pauseProducing()
        self.wire.send(GET % b"")
        await until(lambda: self.resource.made)
        self.wire.transport.resumeProducing()
        self.assertEqual(json.loads((await self.wire.answer()).body)["last"], 1)

    async def test_a_client_that_leaves_ends_the_making(self) -> None:
        self.wire.transport.pauseProducing()
        self.wire.send(GET % b"many")
        await until(lambda: self.resource.made)
        self.wire.abort()
        await self.resource.over
        made = self.resource.made
        await pause()
        self.assertEqual(self.resource.made, made)

    async def test_before_http_1_1_the_connections_end_is_the_bodys(self) -> None:
        answer = await self.wire.ask(b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n")
        self.assertEqual(json.loads(answer.body)["last"], 1)
        self.assertEqual((answer.get(b"transfer-encoding"), answer.get(b"connection")), (None, b"close"))

    async def test_head_has_the_same_head_and_nothing_is_made(self) -> None:
        answer = await self.wire.ask(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((answer.get(b"transfer-encoding"), answer.body), (b"chunked", b""))
        self.assertLess(self.resource.made, 1000)

    async def test_an_answer_that_breaks_is_visibly_incomplete(self) -> None:
        self.wire.send(GET % b"broken")
        await self.wire.closed()
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertTrue(self.wire.received.startswith(b"HTTP/1.1 200"))
        self.assertFalse(self.wire.received.endswith(b"0\r\n\r\n"))
