"""Every request has a name, which the answer, the application and the log have too; and every request is counted."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from twisted.logger import LogEvent, globalLogPublisher

from sandbox.http.access_log import AccessLog
from sandbox.http.identity import RequestIds
from sandbox.http.limits import Limits
from sandbox.http.request import Request
from sandbox.protocols.http1.grammar import read_section
from sandbox.protocols.http1.headers import TrustedProxies
from tests.gateway.stage import GET, GatewayCase, values
from tests.gateway.test_websocket import WebSocketTestCase, asking, granting
from tests.gateway.wires import TEXT, frame
from tests.waiting import until

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAMED = b"GET /previews/s1/ HTTP/1.1\r\nHost: public.example\r\nX-Request-Id: %b\r\n\r\n"


class Names(GatewayCase):
    async def named(self, request: bytes, response: bytes = OK) -> tuple[bytes, bytes]:
        """What the application and the client were told."""
        seen, answer = await self.exchange(request, response)
        (forwarded,) = values(seen, b"x-request-id")
        answered = answer.get(b"x-request-id")
        assert answered is not None
        return forwarded, answered

    def trust(self, *peers: str) -> None:
        self.site.ids = RequestIds(TrustedProxies(peers))

    async def test_each_request_has_one_of_its_own_and_the_application_hears_it(self) -> None:
        names = []
        for _ in range(3):
            forwarded, answered = await self.named(GET % b"/")
            self.assertEqual(forwarded, answered)
            names.append(answered)
        self.assertEqual(len(set(names)), 3)

    async def test_no_two_are_alike_and_none_follows_from_another(self) -> None:
        ids = RequestIds(TrustedProxies())
        names = [ids.new() for _ in range(2000)]
        self.assertEqual(len(set(names)), 2000)
        self.assertEqual({len(name) for name in names}, {20})
        for place in range(20):
            self.assertGreater(len({name[place] for name in names}), 10, place)

    async def test_a_client_s_own_is_not_taken(self) -> None:
        forwarded, answered = await self.named(NAMED % b"mine")
        self.assertEqual(forwarded, answered)
        self.assertNotEqual(answered, b"mine")

    async def test_a_trusted_proxy_s_is_taken(self) -> None:
        self.trust("127.0.0.0/8")
        self.assertEqual(await self.named(NAMED % b"its_own-1.2"), (b"its_own-1.2", b"its_own-1.2"))

    async def test_what_it_stood_in_is_read_once_for_all_the_client_s_requests(self) -> None:
        self.trust("127.0.0.1")
        read_section.__globals__["_remember"].cache_clear()
        for number in range(3):
            seen, _ = await self.exchange(NAMED % b"name-%d" % number, OK)
            self.assertEqual(values(seen, b"x-request-id"), [b"name-%d" % number])
        self.assertEqual(read_section.__globals__["_remember"].cache_info().misses, 1)

    async def test_its_place_and_case_among_the_fields_do_not_matter(self) -> None:
        self.trust("127.0.0.1")
        for text in (
            b"GET /previews/s1/ HTTP/1.1\r\nx-request-ID:\tits-own \r\nHost: x\r\nAccept: */*\r\n\r\n",
            b"GET /previews/s1/ HTTP/1.1\r\nHost: x\r\nX-REQUEST-ID:its-own\r\nAccept: */*\r\n\r\n",
        ):
            seen, answer = await self.exchange(text, OK)
            self.assertEqual(answer.get(b"x-request-id"), b"its-own")
            self.assertIn(b"\r\nAccept: */*\r\n", seen)

    async def test_a_broken_head_is_no_better_for_it(self) -> None:
        self.trust("127.0.0.1")
        for broken in (
            b"X-Request-Id : x",
            b"A: b\r\n X-Request-Id: x",
            b"A: b\nX-Request-Id: x",
            b"X-Request-Id: x\0",
        ):
            answer = await (await self.wire()).ask(b"GET / HTTP/1.1\r\nHost: x\r\n%b\r\n\r\n" % broken)
            self.assertEqual(answer.status, 400, broken)

    async def test_what_is_no_token_is_not_taken_even_from_there(self) -> None:
        self.trust("127.0.0.1")
        for bad in (b"", b"two words", b"a,b", b'"x"', b"x" * 129, b"\xff"):
            forwarded, answered = await self.named(NAMED % bad)
            self.assertEqual(forwarded, answered)
            self.assertNotEqual(answered, bad)

    async def test_two_are_none(self) -> None:
        self.trust("127.0.0.1")
        _, answered = await self.named(NAMED % b"one\r\nX-Request-Id: two")
        self.assertNotIn(answered, (b"one", b"two", b"one, two"))

    async def test_its_alias_with_underscores_goes_nowhere(self) -> None:
        seen, _ = await self.exchange(GET.replace(b"\r\n\r\n", b"\r\nX_Request_Id: x\r\n\r\n") % b"/", OK)
        self.assertNotIn(b"X_Request", seen)

    async def test_the_application_s_own_does_not_take_its_place(self) -> None:
        for name in (b"X-Request-Id", b"x-request-ID"):
            forwarded, answered = await self.named(
                GET % b"/", OK.replace(b"\r\n\r\n", b"\r\n%b: forged\r\n\r\n" % name)
            )
            self.assertEqual(forwarded, answered)

    async def test_nor_does_one_in_its_trailers(self) -> None:
        chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Request-Id: forged\r\n\r\n"
        _, answer = await self.exchange(GET % b"/", chunked)
        self.assertEqual((answer.trailers, answer.body), ([], b"ok"))

    async def test_errors_have_one_too(self) -> None:
        wire = await self.wire()
        for request in (GET.replace(b"s1", b"s2") % b"/", b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n"):
            answer = await wire.ask(request)
            self.assertEqual(answer.status, 404)
            self.assertTrue(answer.get(b"x-request-id"))

    async def test_so_does_the_refusal_of_what_is_no_request(self) -> None:
        for garbage, status in ((b"GARBAGE\r\n\r\n", 400), (b"GET /" + b"x" * Limits().line, 414)):
            answer = await (await self.wire()).ask(garbage)
            self.assertEqual(answer.status, status)
            self.assertTrue(answer.get(b"x-request-id"))
        self.assertEqual(dict(self.site.traffic.refused), {400: 1, 414: 1})


class Counts(GatewayCase):
    def counted(self, route: str = "other") -> dict[tuple[bytes, int], int]:
        return self.site.traffic.routes[route].responses

    async def test_by_method_and_status(self) -> None:
        await self.exchange(GET % b"/", OK)
        await self.exchange(GET % b"/", OK)
        await self.exchange(GET % b"/", b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(self.counted(), {(b"GET", 200): 2, (b"GET", 404): 1})
        self.assertEqual(sum(self.site.traffic.routes["other"].durations.counts), 3)

    async def test_what_others_make_up_is_counted_together(self) -> None:
        for number in range(3):
            request = (GET % b"/").replace(b"GET", b"METHOD%d" % number)
            await self.exchange(request, b"HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n" % (777 + number))
        self.assertEqual(self.counted(), {(b"other", 700): 3})

    async def test_bytes_are_those_of_whole_messages(self) -> None:
        wire = await self.wire()
        first = b"POST /previews/s1/ HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
        second = b"POST /previews/s2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        # Pipelined: each is its own all the same.
        wire.send(first + second)
        peer, _ = await self.application.request(end=b"hello")
        peer.send(OK)
        answers = [await wire.answer(), await wire.answer()]
        self.assertEqual([answer.status for answer in answers], [200, 404])
        route = self.site.traffic.routes["other"]
        self.assertEqual(route.received, len(first) + len(second))
        self.assertEqual(route.sent, sum(len(answer.head) + 4 + len(answer.body) for answer in answers))

    async def test_a_client_that_leaves_is_counted_and_once(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        await self.application.request()
        wire.abort()
        await self.eventually(self.counted)
        self.assertEqual(self.counted(), {(b"GET", 499): 1})

    async def test_a_response_that_is_cut_has_the_status_that_it_had(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK[:-1])
        await wire.bytes(b"o")
        peer.transport.abortConnection()
        await self.eventually(self.counted)
        self.assertEqual(self.counted(), {(b"GET", 200): 1})


class AccessLogs(GatewayCase):
    share, rate = 1.0, 0

    def setUp(self) -> None:
        super().setUp()
        self.events: list[LogEvent] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.log(1.0, 0)

    def log(self, share: float, rate: int) -> None:
        """Have the site log that way."""
        self.site._observe = AccessLog(share, rate, ("watched",))

    @property
    def lines(self) -> list[LogEvent]:
        return [event for event in self.events if event["log_namespace"] == "sandbox.access"]

    async def ask(self, times: int, response: bytes = OK) -> None:
        for _ in range(times):
            await self.exchange(GET % b"/", response)

    async def test_a_line_tells_all_but_what_stands_behind_the_question_mark(self) -> None:
        _, answer = await self.exchange(GET % b"/a/b?access_token=secret", OK)
        (line,) = self.lines
        shown = {name: line[name] for name in ("method", "path", "status", "session", "peer", "route")}
        expected = {"method": "GET", "path": "/previews/s1/a/b", "status": 200, "session": "s1", "peer": "127.0.0.1"}
        self.assertEqual(shown, {**expected, "route": "other"})
        self.assertEqual(line["request_id"].encode(), answer.get(b"x-request-id"))
        self.assertEqual(line["bytes_in"], len(GET % b"/a/b?access_token=secret"))
        self.assertEqual(line["bytes_out"], len(answer.head) + 4 + 2)
        self.assertGreater(line["ms"], 0)
        self.assertNotIn("secret", repr(line))

    async def test_an_error_of_ours_has_its_code(self) -> None:
        await (await self.wire()).ask(GET.replace(b"s1", b"s2") % b"/")
        (line,) = self.lines
        self.assertEqual((line["status"], line["error"], line["session"]), (404, "PREVIEW_NOT_REGISTERED", "s2"))

    async def test_of_many_a_part_is_logged(self) -> None:
        self.log(0.25, 0)
        await self.ask(12)
        self.assertEqual(len(self.lines), 3)

    async def test_the_first_of_each_second_are_logged_whatever_the_part_is(self) -> None:
        self.log(0.0001, 3)
        await self.ask(3)
        self.assertEqual(len(self.lines), 3)
        log = self.site._observe
        assert isinstance(log, AccessLog)
        log._usual._renewed += 100  # the second goes on
        await self.ask(2)
        self.assertEqual(len(self.lines), 3)
        log._usual._renewed -= 102  # and another begins
        await self.ask(1)
        self.assertEqual(len(self.lines), 4)

    async def test_none_means_none_but_failures(self) -> None:
        self.log(0, 1000)
        await self.ask(5)
        self.assertEqual(self.lines, [])
        await self.ask(1, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual([line["status"] for line in self.lines], [503])

    async def test_failures_are_bounded_too_and_not_hidden_by_others(self) -> None:
        self.log(0.0001, 2)
        log = self.site._observe
        assert isinstance(log, AccessLog)
        await self.ask(4)
        log._usual._renewed += 100
        log._notable._renewed += 100
        log._notable._left = 2
        await self.ask(4, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual([line["status"] for line in self.lines], [200, 200, 503, 503])

    async def test_what_watches_the_daemon_is_quiet_and_its_failures_are_bounded(self) -> None:
        self.log(0, 2)
        for code, times in ((200, 3), (503, 5)):
            for _ in range(times):
                request = Request.__new__(Request)
                request.channel = SimpleNamespace(bytes_in=0, bytes_out=0, peer="")
                request.method, request.uri, request.code, request.route = b"GET", b"/readyz", code, "watched"
                request.id, request.begun = b"i", 0.0
                assert self.site._observe is not None
                self.site._observe(request, 1.0)
        levels = [(line["status"], line["log_level"].name) for line in self.lines]
        self.assertEqual(levels, [(200, "debug")] * 3 + [(503, "info")] * 2)

    async def test_a_response_that_was_cut_says_so(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK[:-1])
        await wire.bytes(b"o")
        wire.abort()
        await self.eventually(lambda: self.lines)
        self.assertEqual((self.lines[0]["status"], self.lines[0]["cut"]), (200, True))


class Upgrades(WebSocketTestCase):
    def events(self) -> list[Any]:
        """What is logged from now on."""
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        return events

    async def test_the_101_has_the_name_and_the_end_is_logged_with_what_was_carried(self) -> None:
        events = self.events()
        self.site._observe = AccessLog(0, 1)
        wire = await self.wire()
        wire.send(asking(b"/previews/s1/socket?token=secret"))
        peer, seen = await self.application.request()
        peer.send(granting(b"X-Request-Id: forged"))
        head = await self.head(wire)
        named = [line for line in head if line.lower().startswith(b"x-request-id: ")]
        self.assertEqual(named, [b"X-Request-Id: " + values(seen, b"x-request-id")[0]])
        message = frame(TEXT, b"hello", b"\1\2\3\4")
        wire.send(message)
        await peer.bytes(message)
        self.assertEqual(self.upgrades.counters.from_browsers, len(message))
        wire.abort()
        await until(lambda: not len(self.upgrades))
        lines = [event for event in events if event.get("session") == "s1"]
        self.assertEqual([event.get("status") for event in lines], [101, None])
        self.assertEqual({event["request_id"].encode() for event in lines}, set(values(seen, b"x-request-id")))
        self.assertEqual((lines[1]["bytes_in"], lines[1]["bytes_out"]), (len(message), 0))
        self.assertNotIn("secret", repr(lines))
        counters = self.upgrades.counters
        self.assertEqual((counters.opened, counters.from_browsers, counters.from_applications), (1, len(message), 0))

    async def test_where_the_beginning_is_left_out_the_end_is_too(self) -> None:
        events = self.events()
        self.site._observe = AccessLog(0, 0)
        wire = await self.wire()
        wire.send(asking(b"/previews/s1/socket"))
        peer, _ = await self.application.request()
        peer.send(granting())
        await self.head(wire)
        await until(lambda: len(self.upgrades))
        wire.abort()
        await until(lambda: not len(self.upgrades))
        self.assertEqual([event for event in events if event.get("session") == "s1"], [])
