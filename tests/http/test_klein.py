"""Klein works unmodified on our channel and request."""

from __future__ import annotations

import json
from typing import Any

from klein import Klein
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from sandbox.http.admission import Admission, Buffer, Refuse
from sandbox.http.limits import Limits
from sandbox.http.replies import error_reply
from sandbox.http.request import Request
from sandbox.http.site import Site
from tests.http.wire import Wire, connect

GET = b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n"


class Application:
    """A small Klein application that shows what it was asked."""

    app = Klein()

    def __init__(self) -> None:
        self.gone: Deferred[None] = Deferred()
        self.finished: Deferred[None] = Deferred()

    @app.route("/echo", methods=["GET", "POST"])
    def echo(self, request: Any) -> bytes:
        request.setHeader(b"content-type", b"application/json")
        request.setHeader("X-Twice", "1")
        request.responseHeaders.addRawHeader(b"X-Twice", b"2")
        said = {
            "method": request.method.decode(),
            "path": request.path.decode(),
            "args": {name.decode(): [v.decode() for v in values] for name, values in request.args.items()},
            "length": len(request.content.read()),
            "header": request.getHeader("x-asked"),
            "cookie": (request.getCookie(b"a") or b"").decode(),
            "host": request.getRequestHostname().decode(),
            "client": request.getClientAddress().host,
        }
        return json.dumps(said).encode()

    @app.route("/items/<string:name>")
    def item(self, request: Any, name: str) -> str:
        return name

    @app.route("/created", methods=["POST"])
    def created(self, request: Any) -> bytes:
        request.setResponseCode(201)
        request.setHeader(b"content-length", b"2")
        return b"ok"

    @app.route("/nothing")
    def nothing(self, request: Any) -> None:
        request.setResponseCode(204)

    @app.route("/slow")
    def slow(self, request: Any) -> Deferred[bytes]:
        request.notifyFinish().addErrback(lambda _: self.gone.callback(None))
        return Deferred()

    @app.route("/pieces")
    async def pieces(self, request: Any) -> None:
        request.notifyFinish().addCallback(lambda _: self.finished.callback(None))
        for piece in (b"a", b"bc", b"def"):
            request.write(piece)

    @app.route("/broken")
    def broken(self, request: Any) -> bytes:
        raise RuntimeError("the inside")

    @app.route("/big")
    def big(self, request: Any) -> bytes:
        return b"x" * 5_000_000


class OnKlein(TestCase):
    """Requests to a Klein application."""

    timeout = 60

    def setUp(self) -> None:
        self.application = Application()
        self.site = Site(self.application.app.resource(), reactor, limits=Limits(body=1_000_000), admit=self.admit)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.addCleanup(self.port.stopListening)
        self.wires: list[Wire] = []

    def admit(self, request: Request) -> Admission:
        if request.uri.startswith(b"/guarded"):
            return Refuse(error_reply(403, "FORBIDDEN", "Forbidden"))
        return Buffer(1_000_000)

    async def tearDown(self) -> None:
        for wire in self.wires:
            wire.abort()
            await wire.closed()
        while self.site.counters.connections:
            pause: Deferred[None] = Deferred()
            reactor.callLater(0.01, pause.callback, None)
            await pause
        self.assertEqual(len(self.site.deadlines), 0)

    async def wire(self) -> Wire:
        wire = await connect(self.port.getHost().port)
        self.wires.append(wire)
        return wire

    async def test_a_route_sees_method_path_arguments_fields_cookies_and_body(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(
            b"POST /echo?a=1&a=2&b=%20 HTTP/1.1\r\nHost: example.org:1\r\nX-Asked: yes\r\nCookie: a=b; c=d\r\n"
            b"Content-Length: 5\r\n\r\nhello"
        )
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.all(b"x-twice"), [b"1", b"2"])
        self.assertEqual(
            json.loads(answer.body),
            {
                "method": "POST",
                "path": "/echo",
                "args": {"a": ["1", "2"], "b": [" "]},
                "length": 5,
                "header": "yes",
                "cookie": "b",
                "host": "example.org",
                "client": "127.0.0.1",
            },
        )

    async def test_the_same_connection_serves_the_next_request(self) -> None:
        wire = await self.wire()
        for name in (b"one", b"two", b"three"):
            answer = await wire.ask(GET % (b"/items/" + name))
            self.assertEqual((answer.status, answer.body), (200, name))

    async def test_a_chunked_body_is_read_whole_before_the_route_runs(self) -> None:
        wire = await self.wire()
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        answer = await wire.ask(head + b"3\r\nabc\r\n4;x=y\r\ndefg\r\n0\r\n\r\n")
        self.assertEqual(json.loads(answer.body)["length"], 7)

    async def test_a_big_body_arrives_and_a_big_answer_leaves(self) -> None:
        wire = await self.wire()
        body = b"x" * 1_000_000
        answer = await wire.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + body)
        self.assertEqual(json.loads(answer.body)["length"], 1_000_000)
        answer = await wire.ask(GET % b"/big")
        self.assertTrue(answer.complete)
        self.assertEqual(len(answer.body), 5_000_000)

    async def test_a_body_over_the_limit_is_413_before_it_is_read(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000001\r\n\r\n")
        self.assertEqual((answer.status, answer.get(b"connection")), (413, b"close"))
        await wire.closed()

    async def test_a_chunked_body_over_the_limit_is_413(self) -> None:
        wire = await self.wire()
        head = b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        wire.send(head + b"F4240\r\n" + b"x" * 1_000_000 + b"\r\n1\r\nx\r\n")
        answer = await wire.answer()
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (413, "BODY_TOO_LARGE"))

    async def test_a_refused_request_is_answered_before_its_body_comes(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(b"POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
        self.assertEqual((answer.status, answer.get(b"connection")), (403, b"close"))

    async def test_a_refused_request_without_a_body_keeps_its_connection(self) -> None:
        wire = await self.wire()
        self.assertEqual((await wire.ask(GET % b"/guarded")).status, 403)
        self.assertEqual((await wire.ask(GET % b"/items/a")).status, 200)

    async def test_expect_100_continue_is_answered_after_admission(self) -> None:
        wire = await self.wire()
        wire.send(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        await wire.bytes(b"HTTP/1.1 100 Continue\r\n\r\n")
        wire.received = b""
        answer = await wire.ask(b"ab")
        self.assertEqual(json.loads(answer.body)["length"], 2)

    async def test_expect_100_continue_of_a_refused_request_gets_the_refusal_only(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(
            b"POST /guarded HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
        )
        self.assertEqual(answer.status, 403)

    async def test_head_has_the_fields_and_no_body(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(b"HEAD /items/abc HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual((answer.status, answer.body, answer.rest), (200, b"", b""))
        self.assertEqual((await wire.ask(GET % b"/items/a")).body, b"a")

    async def test_an_unknown_route_is_404_and_204_has_no_body(self) -> None:
        wire = await self.wire()
        self.assertEqual((await wire.ask(GET % b"/nowhere")).status, 404)
        answer = await wire.ask(GET % b"/nothing")
        self.assertEqual((answer.status, answer.rest), (204, b""))
        self.assertEqual((await wire.ask(GET % b"/items/a")).status, 200)

    async def test_an_http_1_0_client_gets_its_answer_and_the_connection_ends(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(b"GET /items/abc HTTP/1.0\r\n\r\n")
        self.assertEqual((answer.status, answer.body), (200, b"abc"))
        await wire.closed()

    async def test_pieces_are_chunked_and_notify_finish_fires(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(GET % b"/pieces")
        self.assertEqual((answer.body, answer.complete), (b"abcdef", True))
        await self.application.finished

    async def test_a_client_that_leaves_is_told_to_notify_finish(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/slow")
        await (await self.wire()).ask(GET % b"/items/a")
        wire.abort()
        await self.application.gone

    async def test_an_unforeseen_error_is_500_in_the_contracts_shape(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(GET % b"/broken")
        self.assertEqual(answer.status, 500)
        self.assertEqual(json.loads(answer.body)["message"], "Internal server error")
        self.assertNotIn(b"the inside", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)
        self.assertEqual((await wire.ask(GET % b"/items/a")).status, 200)

    async def test_connection_close_is_honoured(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(b"GET /items/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        self.assertEqual((answer.status, answer.get(b"connection")), (200, b"close"))
        await wire.closed()
