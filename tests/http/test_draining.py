"""What becomes of connections when a site drains."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sandbox.http.connection import Connection
from sandbox.http.site import Site
from tests.http.wire import Wire, connect
from tests.turns import SteppedClock
from tests.waiting import until

reactor: Any = _reactor

GET = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"


class Answers(Resource):
    """Answers at once, or when it is told to."""

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.later: list[Any] = []

    def render_GET(self, request: Any) -> Any:
        if request.path == b"/later":
            self.later.append(request)
            return NOT_DONE_YET
        return b"ok"


class Draining(TestCase):
    timeout = 240

    def setUp(self) -> None:
        self.root = Answers()
        self.clock = SteppedClock()
        self.connections: list[Connection] = []
        self.site = Site(self.root, self.clock)  # type: ignore[arg-type]
        self.patch(self.site, "buildProtocol", self.build)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.addCleanup(self.site.abort)

    def build(self, address: Any) -> Connection:
        self.connections.append(Connection(self.site))
        return self.connections[-1]

    async def wire(self) -> Wire:
        """A connection that the site knows of."""
        known = self.site.counters.connections
        wire = await connect(self.port.getHost().port)
        await until(lambda: self.site.counters.connections > known)
        return wire

    def drain(self) -> Deferred[None]:
        return self.site.drain(20)

    async def test_idle_connections_end_at_once(self) -> None:
        wire = await self.wire()
        self.assertEqual((await wire.ask(GET % b"")).status, 200)
        drained = self.drain()
        await wire.closed()
        await drained

    async def test_who_connected_just_now_is_answered(self) -> None:
        wire = await self.wire()
        drained = self.drain()
        await self.clock.pass_time(self.site.limits.greeting - 0.6)
        answer = await wire.ask(GET % b"")
        self.assertEqual((answer.status, answer.get(b"connection")), (200, b"close"))
        await wire.closed()
        await drained

    async def test_who_connected_just_now_and_says_nothing_is_not_waited_for(self) -> None:
        wire = await self.wire()
        drained = self.drain()
        await self.clock.pass_time(2 * self.site.limits.greeting)
        await wire.closed()
        self.assertEqual(wire.received, b"")
        await drained

    async def test_who_connected_a_while_ago_and_says_nothing_ends_at_once(self) -> None:
        wire = await self.wire()
        await self.clock.pass_time(2 * self.site.limits.greeting)
        drained = self.drain()
        await wire.closed()
        await drained

    async def test_a_head_that_has_begun_is_waited_for(self) -> None:
        for first in (b"", GET % b""):
            wire = await self.wire()
            if first:
                await wire.ask(first)
            wire.send(b"GET / HT")
            await until(lambda: self.connections[-1].holding)
            drained = self.drain()
            await self.clock.pass_time(2 * self.site.limits.greeting)
            self.assertEqual((await wire.ask(b"TP/1.1\r\nHost: a\r\n\r\n")).status, 200)
            await wire.closed()
            await drained
            self.site.stopping = False

    async def test_a_request_under_way_is_answered(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"later")
        await until(lambda: self.root.later)
        drained = self.drain()
        await self.clock.pass_time(2 * self.site.limits.greeting)
        self.assertIsNone(wire.lost)
        self.root.later.pop().finish()
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"connection")), (200, b"close"))
        await wire.closed()
        await drained
