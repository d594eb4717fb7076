"""Opening handshakes through the gateway, and what becomes of open WebSockets when sessions and the daemon end."""

from __future__ import annotations

import json
from functools import cached_property

import attrs
from twisted.internet import reactor

from sandbox.gateway.bridge import Timing
from sandbox.gateway.websocket import WebSockets
from tests.gateway.stage import GatewayCase
from tests.gateway.wires import CLOSE, TEXT, close_payload, expect, expect_end, frame
from tests.http.wire import Answer, Wire
from tests.waiting import pause, until

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
MASK = b"\x01\x02\x03\x04"


def asking(path: bytes = b"/previews/s1/", *fields: bytes, **replaced: bytes | None) -> bytes:
    """A client's opening handshake; keywords replace its fields or, with ``None``, leave them out."""
    usual = {
        "host": b"Host: public.example",
        "upgrade": b"Upgrade: websocket",
        "connection": b"Connection: Upgrade",
        "version": b"Sec-WebSocket-Version: 13",
        "key": b"Sec-WebSocket-Key: " + KEY,
        **replaced,
    }
    lines = [line for line in usual.values() if line is not None]
    return b"\r\n".join([b"GET %b HTTP/1.1" % path, *lines, *fields, b"", b""])


def granting(*fields: bytes) -> bytes:
    """An application's 101."""
    usual = b"Upgrade: websocket", b"Connection: Upgrade", b"Sec-WebSocket-Accept: " + ACCEPT
    return b"\r\n".join([b"HTTP/1.1 101 Switching Protocols", *usual, *fields, b"", b""])


class WebSocketTestCase(GatewayCase):
    """A gateway that carries WebSockets to an application that a test plays.

    :ivar upgrades: its WebSockets; no timer fires within a test.
    """

    @cached_property
    def upgrades(self) -> WebSockets:  # type: ignore[override]
        """Made when the pool is there."""
        timing = Timing(ping=0, pong=60, close=60, grace=0)
        return WebSockets(reactor, self.pool, timing)  # type: ignore[arg-type]

    async def tearDown(self) -> None:
        """No WebSocket is left either."""
        await super().tearDown()
        await until(lambda: not len(self.upgrades))

    async def head(self, wire: Wire) -> list[bytes]:
        """The lines of the head that has come, which is taken."""
        await until(lambda: b"\r\n\r\n" in wire.received or wire.lost is not None, "for a head")
        head, _, wire.received = wire.received.partition(b"\r\n\r\n")
        return head.split(b"\r\n")

    async def asked(self, number: int = 0) -> tuple[Wire, list[bytes]]:
        """The application's ``number``-th connection, and the lines of the request on it."""
        application, request = await self.application.request(number)
        head, _, application.received = request.partition(b"\r\n\r\n")
        return application, head.split(b"\r\n")

    async def opened(self) -> tuple[Wire, Wire]:
        """An open WebSocket: the browser's wire and the application's."""
        before = len(self.application.peers)
        browser = await self.wire()
        browser.send(asking())
        application, _ = await self.asked(before)
        application.send(granting())
        self.assertEqual((await self.head(browser))[0], b"HTTP/1.1 101 Switching Protocols")
        return browser, application

    async def refusal(self, request: bytes) -> tuple[Answer, dict[str, object]]:
        """What a request is refused with, and its JSON."""
        browser = await self.wire()
        answer = await browser.ask(request)
        browser.transport.loseConnection()
        return answer, json.loads(answer.body)


class OpeningTests(WebSocketTestCase):
    """Negotiation is end to end."""

    async def test_path_and_query_arrive_byte_for_byte(self) -> None:
        for rest in (b"/", b"/hmr?token=a%2Fb&x=;//..%00", b"//a/../b", b"/%e2%82?"):
            browser = await self.wire()
            before = len(self.application.peers)
            browser.send(asking(b"/previews/s1" + rest))
            line = (await self.asked(before))[1][0]
            self.assertEqual(line, b"GET " + rest + b" HTTP/1.1")
            browser.abort()

    async def test_what_the_client_offers_arrives_as_it_is(self) -> None:
        browser = await self.wire()
        offered = [
            b"Sec-WebSocket-Protocol: vite-hmr, graphql-ws",
            b"sec-websocket-protocol: \xfcml\xe4ut",
            b'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits; server_max_window_bits="9", x; a=b',
            b"Sec-WebSocket-Extensions: bbf-usp-protocol",
            b"Cookie: a=1; b=2",
            b"X-Custom: one",
            b"x-custom: two",
            b"Sec-WebSocket-Key: " + KEY,
            b"Sec-WebSocket-Version: 13",
        ]
        browser.send(asking(b"/previews/s1/", *offered[:-2], connection=b"Connection: keep-alive, Upgrade"))
        _, head = await self.asked()
        for line in offered:
            self.assertIn(line, head)
        self.assertEqual([line for line in head if line.lower().startswith(b"connection")], [b"Connection: Upgrade"])
        self.assertEqual([line for line in head if line.lower().startswith(b"upgrade")], [b"Upgrade: websocket"])

    async def test_what_the_application_grants_arrives_as_it_is(self) -> None:
        browser = await self.wire()
        browser.send(asking())
        application, _ = await self.asked()
        granted = [
            b"Sec-WebSocket-Protocol: nobody asked for this one",
            b"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_max_window_bits=12",
            b"Set-Cookie: a=1; Path=/x",
            b"Set-Cookie: b=2",
            b"X-Custom: \xfc",
        ]
        application.send(granting(*granted))
        head = await self.head(browser)
        self.assertEqual(head[0], b"HTTP/1.1 101 Switching Protocols")
        for line in granted[:2] + granted[4:]:
            self.assertIn(line, head)
        self.assertIn(b"Sec-WebSocket-Accept: " + ACCEPT, head)
        self.assertEqual(head.count(b"Connection: Upgrade"), 1)
        self.assertEqual(head.count(b"Upgrade: websocket"), 1)
        self.assertEqual(len([line for line in head if line.startswith(b"Set-Cookie: ")]), 2)
        self.assertFalse([line for line in head if line.lower().startswith((b"content-length", b"transfer-encoding"))])

    async def test_origin_is_the_application_s_own_as_for_http(self) -> None:
        for sent, arrives in (
            (b"http://public.example", b"http://localhost:%d" % self.application.number),
            (b"https://elsewhere.example", b"https://elsewhere.example"),
            (b"null", b"null"),
        ):
            browser = await self.wire()
            before = len(self.application.peers)
            browser.send(asking(b"/previews/s1/", b"Origin: " + sent))
            self.assertIn(b"Origin: " + arrives, (await self.asked(before))[1])
            browser.abort()

    async def test_the_client_hears_101_only_after_the_application_said_it(self) -> None:
        browser = await self.wire()
        browser.send(asking())
        application, _ = await self.asked()
        await pause()
        self.assertEqual(browser.received, b"")
        application.send(granting()[:-1])
        await pause()
        self.assertEqual(browser.received, b"")
        application.send(b"\n")
        await self.head(browser)

    async def test_bytes_behind_either_handshake_are_not_lost(self) -> None:
        browser = await self.wire()
        early = frame(TEXT, b"eager", MASK)
        browser.send(asking() + early)
        application, _ = await self.asked()
        browser.send(frame(TEXT, b"still eager", MASK))
        await pause()
        self.assertEqual(application.received, b"")
        application.send(granting() + frame(TEXT, b"hello") + b"\x81")
        await self.head(browser)
        await expect(browser, frame(TEXT, b"hello"))
        await expect(application, early + frame(TEXT, b"still eager", MASK))
        application.send(b"\x01x")
        await expect(browser, frame(TEXT, b"x"))

    async def test_a_client_that_leaves_during_the_handshake_takes_its_connection_along(self) -> None:
        browser = await self.wire()
        browser.send(asking())
        application, _ = await self.asked()
        browser.abort()
        await until(lambda: application.lost)


class RefusalTests(WebSocketTestCase):
    """Who says no, and how."""

    async def test_the_application_s_refusal_is_relayed_as_http(self) -> None:
        for answer in (
            b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\nX-Why: origin\r\n\r\nOrigin",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            b"HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 8\r\nContent-Length: 0\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n",
        ):
            browser = await self.wire()
            before = len(self.application.peers)
            browser.send(asking())
            application, _ = await self.asked(before)
            application.send(answer)
            head = await self.head(browser)
            self.assertEqual(head[0], answer.split(b"\r\n")[0])
            body = answer.partition(b"\r\n\r\n")[2]
            await expect(browser, body)
            # It was HTTP and goes on being HTTP.
            browser.send(b"GET /previews/none/ HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertEqual((await self.head(browser))[0], b"HTTP/1.1 404 Not Found")
            browser.transport.loseConnection()

    async def test_frames_behind_a_handshake_that_was_refused_are_no_request(self) -> None:
        browser = await self.wire()
        browser.send(asking() + frame(TEXT, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", MASK))
        application, _ = await self.asked()
        application.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
        head = await self.head(browser)
        self.assertEqual(head[0], b"HTTP/1.1 403 Forbidden")
        await expect_end(browser)
        self.assertEqual(len(self.application.peers), 1)

    async def test_a_request_behind_a_handshake_is_refused(self) -> None:
        answer, body = await self.refusal(asking() + b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(answer.status, 400, body)
        self.assertEqual(self.application.peers, [])

    async def test_nor_does_one_that_comes_later_reach_the_application(self) -> None:
        browser = await self.wire()
        browser.send(asking())
        application, _ = await self.asked()
        browser.send(b"GET /secret HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = await browser.answer()
        self.assertEqual(answer.status, 400)
        await application.closed()
        self.assertEqual(application.received, b"")

    async def test_absolute_form_leads_to_the_session_s_container_here_too(self) -> None:
        browser = await self.wire()
        browser.send(asking(b"http://127.0.0.1:1/previews/s1/ws"))
        _, lines = await self.asked()
        self.assertEqual(lines[0], b"GET /ws HTTP/1.1")

    async def test_the_contract_s_errors_come_before_any_upgrade(self) -> None:
        answer, body = await self.refusal(asking(b"/previews/none/"))
        self.assertEqual((answer.status, body["message"]), (404, "No preview port registered for session none"))
        found = self.resolver.previews["s1"]
        self.resolver.previews["dead"] = attrs.evolve(found, target=attrs.evolve(found.target, port=1))
        answer, body = await self.refusal(asking(b"/previews/dead/"))
        self.assertEqual((answer.status, body["message"]), (502, "Failed to connect to preview server"))

    async def test_an_answer_that_does_not_complete_the_handshake_is_a_bad_gateway(self) -> None:
        for answer in (
            granting().replace(ACCEPT, b"AAAALMBiTxaQ9kYGzzhZRbK+xOo="),
            granting().replace(b"Sec-WebSocket-Accept", b"X-Accept"),
            granting().replace(b"Upgrade: websocket", b"Upgrade: h2c"),
            granting().replace(b"Connection: Upgrade", b"Connection: close"),
            b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        ):
            browser = await self.wire()
            before = len(self.application.peers)
            browser.send(asking())
            application, _ = await self.asked(before)
            application.send(answer)
            self.assertEqual((await self.head(browser))[0], b"HTTP/1.1 502 Bad Gateway", answer)
            await until(lambda: application.lost)  # noqa: B023 - awaited in its own turn
            browser.transport.loseConnection()

    async def test_bad_handshakes_are_refused_here(self) -> None:
        for request in (
            asking(key=None),
            asking(key=b"Sec-WebSocket-Key: short"),
            asking(key=b"Sec-WebSocket-Key: " + KEY + b"\r\nSec-WebSocket-Key: " + KEY),
            asking(key=b"Sec-WebSocket-Key: \xff" + KEY[1:]),
            asking(version=None),
            asking(version=b"Sec-WebSocket-Version: x"),
            asking().replace(b"GET ", b"POST ", 1),
        ):
            answer, body = await self.refusal(request)
            self.assertEqual((answer.status, body["code"]), (400, "BAD_HANDSHAKE"), request)
        self.assertEqual(self.application.peers, [])

    async def test_another_version_is_told_ours(self) -> None:
        for version in (b"0", b"8", b"14"):
            answer, body = await self.refusal(asking(version=b"Sec-WebSocket-Version: " + version))
            self.assertEqual((answer.status, body["code"]), (426, "WEBSOCKET_VERSION"))
            self.assertEqual(answer.get(b"sec-websocket-version"), b"13")
        self.assertEqual(self.application.peers, [])

    async def test_other_upgrades_are_plain_requests(self) -> None:
        browser = await self.wire()
        browser.send(asking(upgrade=b"Upgrade: h2c"))
        _, head = await self.asked()
        self.assertFalse([line for line in head if line.lower().startswith((b"upgrade:", b"connection:"))])

    async def test_nothing_of_a_client_makes_the_gateway_fail(self) -> None:
        for name in ("upgrade", "connection", "version", "key"):
            for value in (b"", b"\x80\xff", b"," * 50, b"websocket " * 3, b"x" * 16_000, b"13,13", b"\xc2\x85a: b"):
                field = name.encode() if name in {"upgrade", "connection"} else b"Sec-WebSocket-" + name.encode()
                before = len(self.application.peers)
                browser = await self.wire()
                browser.send(asking(b"/previews/s1/", **{name: field + b": " + value}))
                await until(lambda: browser.received or len(self.application.peers) > before)  # noqa: B023
                browser.abort()
        self.assertEqual(self.flushLoggedErrors(), [])


class EndTests(WebSocketTestCase):
    """Sessions end, and the daemon."""

    async def closed(self, browser: Wire, application: Wire, code: int, reason: str) -> None:
        await expect(browser, frame(CLOSE, close_payload(code, reason)))
        browser.send(frame(CLOSE, close_payload(code), MASK))
        await until(lambda: len(application.received) >= 8)
        application.send(frame(CLOSE, close_payload(1001)))
        application.transport.loseConnection()
        await expect_end(browser)

    async def test_a_session_s_sockets_are_closed_with_it_and_no_others(self) -> None:
        self.register("other", "c2")
        mine, other = await self.opened(), await self.wire()
        other.send(asking(b"/previews/other/"))
        beyond, _ = await self.asked(1)
        beyond.send(granting())
        await self.head(other)
        self.upgrades.drop_session("s1")
        await self.closed(*mine, 1001, "The preview has ended")
        await until(lambda: len(self.upgrades) == 1)
        beyond.send(frame(TEXT, b"still here"))
        await expect(other, frame(TEXT, b"still here"))

    async def test_the_daemon_drains(self) -> None:
        sockets = [await self.opened() for _ in range(3)]
        late = await self.wire()
        late.send(asking())
        application, _ = await self.asked(3)
        drained = self.upgrades.drain()
        for browser, beyond in sockets:
            self.assertFalse(drained.called)
            await self.closed(browser, beyond, 1012, "Service restart")
        await drained
        application.send(granting())
        await self.head(late)
        await self.closed(late, application, 1012, "Service restart")


class ResetTests(WebSocketTestCase):
    """Connections are reset by either side in every state; nothing is left and nothing is logged."""

    ROUNDS = 20

    async def test_resets_in_every_state(self) -> None:
        for state in ("asked", "granted", "open", "within a frame", "half closed", "closing", "ended by us"):
            for side in (0, 1):
                for _ in range(self.ROUNDS):
                    browser, application = await self.reach(state)
                    (browser, application)[side].abort()
                    if state == "ended by us":
                        (application, browser)[side].send(frame(CLOSE))
                    await until(lambda: self.told(browser) and application.lost is not None, state)  # noqa: B023
                    browser.abort()
        await until(lambda: not len(self.upgrades) and not len(self.pool))
        self.assertEqual(self.flushLoggedErrors(), [])

    def told(self, browser: Wire) -> bool:
        """Whether the browser knows: by a refusal, when there was no 101 before, else by its own loss."""
        return browser.lost is not None or browser.received.startswith(b"HTTP/1.1 502 ")

    async def reach(self, state: str) -> tuple[Wire, Wire]:
        """The browser's wire and the application's in a state."""
        if state in {"asked", "granted"}:
            before = len(self.application.peers)
            browser = await self.wire()
            browser.send(asking())
            application, _ = await self.asked(before)
            if state == "granted":
                application.send(granting())
            return browser, application
        browser, application = await self.opened()
        if state == "within a frame":
            for wire in (browser, application):
                wire.send(frame(TEXT, bytes(10), announced=100))
            await expect(browser, frame(TEXT, bytes(10), announced=100))
        elif state == "half closed":
            assert browser.transport is not None
            browser.transport.loseWriteConnection()  # type: ignore[attr-defined]
        elif state == "closing":
            application.send(frame(CLOSE))
            await expect(browser, frame(CLOSE))
        elif state == "ended by us":
            self.upgrades.drop_session("s1")
        return browser, application
