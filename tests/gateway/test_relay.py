"""Requests and responses through the gateway, byte for byte (contract section 5, RFC 9110 and 9112)."""

from __future__ import annotations

import hashlib

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone

from sandbox.domain.host_verdicts import HostMode
from sandbox.http.connection import Connection
from sandbox.http.limits import Limits
from tests.gateway.stage import GET, GatewayCase, fields_of, values
from tests.gateway.wires import HalfWire
from tests.http.wire import read_answer

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
POST = b"POST /previews/s1/up HTTP/1.1\r\nHost: public.example\r\n"
HELD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


class Carrying(GatewayCase):
    """Plain exchanges."""

    async def test_a_request_goes_to_the_application_and_its_answer_comes_back(self) -> None:
        seen, answer = await self.exchange(GET % b"/a?b", OK)
        self.assertTrue(seen.startswith(b"GET /a?b HTTP/1.1\r\nHost: localhost:%d\r\n" % self.application.number))
        self.assertEqual((answer.status, answer.body), (200, b"ok"))

    async def test_target_bytes_are_unchanged_but_for_the_prefix(self) -> None:
        """Go's CVE-2022-2880; Klein, stock ReverseProxyResource and many others decode, merge or re-encode."""
        for rest in (
            b"/%2F%2f%zz%", b"/a;b=c;d", b"//x//", b"/../../api/internal/sessions", b"/./a/../b", b"/?",
            b"/?a=%20&&=;?", b"/\"<>\\^`{|}", b"/@user:pass", b"/http://other/", b"/previews/s1/again",
            b"/" + b"x" * 8192,
        ):  # fmt: skip
            seen, answer = await self.exchange(GET % rest, OK)
            self.assertEqual(seen.split(b" ")[1], rest)
            self.assertEqual(answer.status, 200)

    async def test_absolute_form_goes_to_the_sessions_container_and_nowhere_else(self) -> None:
        """CVE-2026-44578 (SSRF by absolute-form); RFC 9112 section 3.2.2."""
        seen, _ = await self.exchange(b"GET http://other.example/previews/s1/a HTTP/1.1\r\nHost: x\r\n\r\n", OK)
        self.assertTrue(seen.startswith(b"GET /a HTTP/1.1\r\nHost: localhost:"))
        self.register(host=HostMode.PUBLIC)
        seen, _ = await self.exchange(b"GET http://other.example/previews/s1/a HTTP/1.1\r\nHost: x\r\n\r\n", OK)
        self.assertEqual(values(seen, b"X-Forwarded-Host"), [b"other.example"])

    async def test_every_method_passes(self) -> None:
        for method in (b"GET", b"OPTIONS", b"DELETE", b"PROPFIND", b"QUERY", b"get", b"M-SEARCH", b"TRACE"):
            seen, answer = await self.exchange(b"%b /previews/s1/ HTTP/1.1\r\nHost: a\r\n\r\n" % method, OK)
            self.assertEqual(seen.split(b" ")[0], method)
            self.assertEqual(answer.body, b"ok")

    async def test_the_internal_twin_has_its_own_prefix(self) -> None:
        seen, answer = await self.exchange(
            b"GET /internal-previews/proxy/s1/health?a HTTP/1.1\r\nHost: a\r\n\r\n",
            b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 0\r\n\r\n",
        )
        self.assertTrue(seen.startswith(b"GET /health?a HTTP/1.1\r\n"))
        self.assertEqual(answer.get(b"location"), b"/internal-previews/proxy/s1/b")

    async def test_set_cookie_lines_are_kept_apart_and_in_order(self) -> None:
        _, answer = await self.exchange(
            GET % b"/",
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nX: y\r\nset-cookie: b=2; Path=/; Domain=localhost\r\n"
            b"Set-Cookie: a=3\r\nContent-Length: 0\r\n\r\n",
        )
        self.assertEqual(answer.all(b"set-cookie"), [b"a=1", b"b=2; Path=/previews/s1/", b"a=3"])

    async def test_redirects_are_the_browsers_to_follow(self) -> None:
        """CVE-2022-21712: an upstream client that follows them carries credentials elsewhere."""
        _, answer = await self.exchange(
            GET % b"/", b"HTTP/1.1 301 Moved\r\nLocation: http://other.example/\r\nContent-Length: 0\r\n\r\n"
        )
        self.assertEqual((answer.status, answer.get(b"location")), (301, b"http://other.example/"))
        self.assertEqual(len(self.application.peers), 1)

    async def test_gzip_range_and_etag_are_untouched(self) -> None:
        fields = b'Accept-Encoding: gzip\r\nRange: bytes=1-2\r\nIf-None-Match: W/"x"\r\n'
        body = b"\x1f\x8b\x00\xff"
        seen, answer = await self.exchange(
            (GET % b"/")[:-2] + fields + b"\r\n",
            b'HTTP/1.1 206 Partial\r\nContent-Encoding: gzip\r\nContent-Range: bytes 1-2/9\r\nETag: W/"x"\r\n'
            b"Content-Length: 4\r\n\r\n" + body,
        )
        for name in (b"Accept-Encoding", b"Range", b"If-None-Match"):
            self.assertEqual(len(values(seen, name)), 1)
        self.assertEqual((answer.status, answer.body, answer.get(b"etag")), (206, body, b'W/"x"'))
        self.assertEqual(answer.get(b"content-encoding"), b"gzip")

    async def test_options_and_cors_are_the_applications_business(self) -> None:
        seen, answer = await self.exchange(
            b"OPTIONS /previews/s1/a HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\n"
            b"Access-Control-Request-Method: PUT\r\n\r\n",
            b"HTTP/1.1 204 No Content\r\nAccess-Control-Allow-Origin: http://b\r\n\r\n",
        )
        self.assertEqual(values(seen, b"Origin"), [b"http://b"])
        self.assertEqual((answer.status, answer.get(b"access-control-allow-origin")), (204, b"http://b"))
        _, answer = await self.exchange(GET % b"/", OK)
        self.assertEqual([name for name, _ in answer.headers if b"access-control" in name.lower()], [])

    async def test_a_date_is_added_where_the_application_sends_none(self) -> None:
        """RFC 9110 section 6.6.1."""
        _, answer = await self.exchange(GET % b"/", OK)
        self.assertEqual(len(answer.all(b"date")), 1)
        _, answer = await self.exchange(GET % b"/", b"HTTP/1.1 200 OK\r\nDate: then\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual(answer.all(b"date"), [b"then"])

    async def test_pipelined_requests_are_answered_in_order(self) -> None:
        """CVE-2023-46137, CVE-2024-41671: the first one's answer is the slow one."""
        wire = await self.wire()
        wire.send(GET % b"/1" + GET % b"/2" + (POST + b"Content-Length: 1\r\n\r\n3") + GET % b"/4")
        peer = None
        for name in (b"/1", b"/2", b"/up", b"/4"):
            peer, seen = await self.application.request()
            self.assertEqual(seen.split(b" ")[1], name)
            self.assertEqual(len(self.application.peers), 1, "the next one waits for the answer to this one")
            peer.send(HELD % len(name) + name)
            self.assertEqual((await wire.answer()).body, name)

    async def test_a_pipelined_request_after_connection_close_is_not_served(self) -> None:
        wire = await self.wire()
        wire.send((GET % b"/1")[:-2] + b"Connection: close\r\n\r\n" + GET % b"/2")
        peer, _ = await self.application.request()
        peer.send(OK)
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"connection"), answer.rest), (200, b"close", b""))
        await wire.closed()
        self.assertEqual((len(self.application.peers), peer.received), (1, b""))

    async def test_a_request_of_an_http_1_0_client(self) -> None:
        seen, answer = await self.exchange(b"GET /previews/s1/ HTTP/1.0\r\n\r\n", OK)
        self.assertIn(b" HTTP/1.1\r\n", seen)
        self.assertEqual((answer.body, answer.get(b"connection")), (b"ok", b"close"))
        self.assertEqual(values(seen, b"X-Forwarded-Host"), [])


class ManyFields(GatewayCase):
    """A limit that is set higher holds for all who read the fields."""

    limits = Limits(fields=500)

    async def test_they_are_carried(self) -> None:
        lines = b"".join(b"F%d: x\r\n" % number for number in range(450))
        seen, answer = await self.exchange((GET % b"/")[:-2] + lines + b"\r\n", OK)
        self.assertEqual((answer.status, seen.count(b": x\r\n")), (200, 450))


class Bodies(GatewayCase):
    """Framing of responses, in both directions of time."""

    async def test_head_204_and_304_have_no_body_and_the_connection_goes_on(self) -> None:
        wire = await self.wire()
        for method, status in ((b"HEAD", 200), (b"GET", 204), (b"GET", 304), (b"HEAD", 404)):
            wire.send(b"%b /previews/s1/ HTTP/1.1\r\nHost: a\r\n\r\n" % method)
            peer, _ = await self.application.request()
            peer.send(b"HTTP/1.1 %d OK\r\nContent-Length: 5\r\nETag: x\r\n\r\n" % status)
            answer = await wire.answer(head_only=True)
            self.assertEqual((answer.status, answer.rest), (status, b""))
            self.assertEqual(answer.get(b"content-length"), None if status == 204 else b"5")
        self.assertEqual(len(self.application.peers), 1)

    async def test_a_body_after_204_reaches_nobody(self) -> None:
        """http-proxy-middleware wrote an error text behind it."""
        wire = await self.wire()
        wire.send(GET % b"/1")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 204 OK\r\nContent-Length: 5\r\n\r\nhello")
        self.assertEqual((await wire.answer()).rest, b"")
        wire.send(GET % b"/2")
        peer, _ = await self.application.request(1)
        peer.send(OK)
        self.assertEqual((await wire.answer()).body, b"ok")

    async def test_chunks_are_relayed_with_their_trailers(self) -> None:
        _, answer = await self.exchange(
            GET % b"/",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\nConnection: x-own\r\n\r\n"
            b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Sum: 7\r\nX-Own: 1\r\nContent-Length: 1\r\n\r\n".replace(
                b"Content-Length: 1", b"Set-Cookie: a=b"
            ),
        )
        self.assertEqual((answer.body, answer.complete, answer.trailers), (b"abcdefg", True, [(b"X-Sum", b"7")]))
        self.assertEqual(answer.get(b"via"), b"1.1 sandbox")
        self.assertEqual(answer.get(b"trailer"), b"X-Sum")

    async def test_a_response_without_a_length_is_chunked_for_1_1_and_ends_with_the_connection_for_1_0(self) -> None:
        for head in (b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n\r\n"):
            _, answer = await self.exchange(GET % b"/", head + b"to the end")
            self.assertEqual((answer.body, answer.complete), (b"to the end", True))
            self.assertEqual(answer.get(b"transfer-encoding"), b"chunked")
        _, answer = await self.exchange(b"GET /previews/s1/ HTTP/1.0\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\nto the end")
        self.assertEqual((answer.body, answer.get(b"transfer-encoding")), (b"to the end", None))

    async def test_chunks_are_plain_bytes_for_an_http_1_0_client(self) -> None:
        _, answer = await self.exchange(
            b"GET /previews/s1/ HTTP/1.0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        )
        self.assertEqual((answer.body, answer.get(b"transfer-encoding")), (b"abc", None))

    async def test_server_sent_events_and_slow_chunks_are_flushed_as_they_come(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/events")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        await wire.bytes(b"\r\n\r\n")
        for piece in (b"d", b"ata: 1\n", b"\n", b"data: 2\n\n"):
            wire.received = b""
            peer.send(piece)
            chunk = b"%x\r\n%b\r\n" % (len(piece), piece)
            await wire.bytes(chunk)
            self.assertEqual(wire.received, chunk)
        wire.abort()
        await peer.closed()

    async def test_the_head_alone_is_flushed(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(HELD % 5)
        await wire.bytes(b"\r\n\r\n")
        peer.send(b"hello")
        self.assertEqual((await wire.answer()).body, b"hello")

    async def test_interim_responses_are_relayed(self) -> None:
        """RFC 9110 section 15.2, RFC 8297 (103): nginx 1.22 broke on them."""
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: x\r\n\r\n" + OK)
        hint = await wire.answer()
        self.assertEqual((hint.status, hint.headers), (103, [(b"Link", b"</a.css>; rel=preload")]))
        self.assertEqual((await wire.answer()).status, 200)

    async def test_an_http_1_0_client_gets_no_interim_response(self) -> None:
        _, answer = await self.exchange(
            b"GET /previews/s1/ HTTP/1.0\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n" + OK
        )
        self.assertEqual(answer.status, 200)

    async def test_too_many_interim_responses_are_a_bad_gateway(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 102 Processing\r\n\r\n" * 40)
        for _ in range(32):
            self.assertEqual((await wire.answer()).status, 102)
        self.assertEqual((await wire.answer()).status, 502)


class Uploads(GatewayCase):
    """Bodies of requests."""

    async def test_a_body_with_a_length_arrives_as_it_is(self) -> None:
        seen = await self.upload(b"Content-Length: 5\r\n\r\nhello", b"hello")
        self.assertEqual((values(seen, b"content-length"), values(seen, b"transfer-encoding")), ([b"5"], []))

    async def test_a_chunked_body_arrives_chunked_with_its_trailers(self) -> None:
        """http-proxy 1.18 sent DELETE with a chunked body as Content-Length: 0 and the body behind it."""
        for method in (b"POST", b"DELETE", b"GET"):
            seen = await self.upload(
                b"Transfer-Encoding: chunked\r\nTE: trailers\r\nTrailer: X-Sum\r\n\r\n"
                b"3;a=b\r\nabc\r\n0\r\nX-Sum: 3\r\nHost: evil\r\n\r\n",
                b"0\r\nX-Sum: 3\r\n\r\n",
                method,
            )
            self.assertTrue(seen.endswith(b"\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 3\r\n\r\n"))
            self.assertEqual(values(seen, b"transfer-encoding"), [b"chunked"])
            self.assertEqual(values(seen, b"content-length"), [])

    async def test_no_body_is_invented(self) -> None:
        for field in (b"", b"Content-Length: 0\r\n"):
            seen = await self.upload(field + b"\r\n", b"\r\n\r\n")
            self.assertTrue(seen.endswith(b"\r\n\r\n"))
            self.assertEqual(values(seen, b"content-length"), [b"0"] if field else [])
            self.assertEqual(values(seen, b"transfer-encoding"), [])

    async def test_a_body_streams_before_it_has_ended(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 10\r\n\r\nfirst")
        peer = await self.application.peer()
        await peer.bytes(b"\r\n\r\nfirst")
        wire.send(b"later")
        await peer.bytes(b"firstlater")
        peer.send(OK)
        self.assertEqual((await wire.answer()).body, b"ok")

    async def upload(self, rest: bytes, end: bytes, method: bytes = b"POST") -> bytes:
        wire = await self.wire()
        index = len(self.application.peers)
        wire.send(POST.replace(b"POST", method) + rest)
        peer, seen = await self.application.request(index, end)
        peer.send(OK)
        peer.transport.loseConnection()
        answer = await wire.answer()
        self.assertEqual(answer.status, 200)
        return seen

    async def test_expect_100_continue_is_answered_when_the_application_says_so(self) -> None:
        """RFC 9110 section 10.1.1."""
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        peer, seen = await self.application.request()
        self.assertEqual(values(seen, b"expect"), [b"100-continue"])
        self.assertEqual(wire.received, b"")
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self.assertEqual((await wire.answer()).status, 100)
        wire.send(b"ab")
        await peer.bytes(b"ab")
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_expect_100_continue_refused_leaves_no_poisoned_connection(self) -> None:
        """Go's CVE-2024-24791: a final answer without a 100 left the body's bytes in the pool."""
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"connection")), (417, b"close"))
        await peer.closed()
        self.assertEqual(self.pool.idle, 0)

    async def test_an_application_that_breaks_the_upload_off_is_not_written_to_any_more(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
        peer, _ = await self.application.request(end=b"abc\r\n")
        (upstream,) = self.pool._open
        let_go: list[bool] = []
        self.patch(upstream.transport, "unregisterProducer", lambda: let_go.append(upstream.transport.connected))
        peer.send(b"no answer\r\n\r\n")
        answer = await wire.answer()
        self.assertEqual((answer.status, let_go), (502, [True]))

    async def test_an_answer_that_comes_while_the_upload_runs_is_delivered(self) -> None:
        """Upstream answers early and closes (RFC 9112 section 9.5)."""
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 100000000\r\n\r\n" + b"x" * 1000)
        peer = await self.application.peer()
        await peer.bytes(b"xxx")
        peer.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        peer.transport.loseConnection()
        for _ in range(20):
            wire.send(b"x" * 50_000)
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.body, answer.get(b"connection")), (413, b"big", b"close"))
        wire.transport.loseConnection()

    async def test_both_directions_stream_at_once(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Transfer-Encoding: chunked\r\n\r\n")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await wire.bytes(b"\r\n\r\n")
        for letter in (b"a", b"b", b"c"):
            wire.send(b"1\r\n" + letter + b"\r\n")
            await peer.bytes(b"1\r\n" + letter + b"\r\n")
            peer.send(b"1\r\n" + letter.upper() + b"\r\n")
            await wire.bytes(b"1\r\n" + letter.upper() + b"\r\n")
        wire.send(b"0\r\n\r\n")
        peer.send(b"0\r\n\r\n")
        self.assertEqual((await wire.answer()).body, b"ABC")


class BackPressure(GatewayCase):
    """Whoever is slow slows the other side, and memory stays flat."""

    TOTAL = 60_000_000

    async def test_a_slow_reader_slows_the_application(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(HELD % self.TOTAL)
        sent = await self.push_until_stuck(peer)
        self.assertLess(self.held(), 1_000_000)
        wire.transport.resumeProducing()
        self.push(peer, self.TOTAL - sent)
        answer = await wire.answer()
        self.assertEqual((len(answer.body), answer.complete), (self.TOTAL, True))

    async def test_a_slow_application_slows_the_client(self) -> None:
        wire = await self.wire()
        wire.send(POST + b"Content-Length: %d\r\n\r\n" % self.TOTAL)
        peer, _ = await self.application.request()
        peer.transport.pauseProducing()
        sent = await self.push_until_stuck(wire)
        self.assertLess(self.held(), 1_000_000)
        peer.transport.resumeProducing()
        self.push(wire, self.TOTAL - sent)
        await peer.until(lambda: True if len(peer.received) == self.TOTAL else None)
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    def push(self, wire: object, count: int) -> None:
        wire.send(b"x" * count)  # type: ignore[attr-defined]

    async def push_until_stuck(self, wire: object) -> int:
        """Send until nothing goes any more: the gateway and the kernel hold what they can."""
        sent, size, left = 0, 1_000_000, 0
        transport = wire.transport  # type: ignore[attr-defined]
        while not left and sent < self.TOTAL:
            self.push(wire, size)
            sent += size
            before = -1
            while (left := len(transport.dataBuffer) - transport.offset + transport._tempDataLen) and left != before:
                before = left
                await self.pause(0.05)
        self.assertLess(sent, self.TOTAL, "the gateway took everything")
        return sent

    def held(self) -> int:
        """Bytes in the gateway's own buffers."""
        total = 0
        for reader in set(reactor.getReaders()) | set(reactor.getWriters()) | {c.transport for c in self.channels()}:
            protocol = getattr(reader, "protocol", None)
            if type(protocol).__module__.startswith("sandbox."):
                total += len(reader.dataBuffer) - reader.offset + reader._tempDataLen + len(protocol._buffer)
        return total

    def channels(self) -> set[Connection]:
        return self.site._connections


class Ends(GatewayCase):
    """Connections that break."""

    async def test_when_the_client_leaves_the_application_is_left_within_a_turn(self) -> None:
        """http-proxy leaves the upstream running."""
        for when in ("waiting", "streaming", "uploading"):
            wire = await self.wire()
            index = len(self.application.peers)
            wire.send(POST + b"Content-Length: 9\r\n\r\n" if when == "uploading" else GET % b"/")
            peer, _ = await self.application.request(index)
            if when == "streaming":
                peer.send(HELD % 100 + b"x")
                await wire.bytes(b"\r\n\r\nx")
            wire.abort()
            await peer.closed()
            await self.eventually(lambda: len(self.pool) == 0)

    async def test_it_is_left_too_while_it_takes_no_more_of_an_upload(self) -> None:
        """Nothing is read from such a client: the reactor does not say that it left."""
        wire = await self.wire()
        wire.send(POST + b"Content-Length: 100000000\r\n\r\n")
        peer, _ = await self.application.request()
        peer.transport.pauseProducing()
        wire.send(b"x" * 30_000_000)
        (channel,) = self.site._connections
        await self.eventually(lambda: channel.paused)
        self.assertEqual(len(self.pool), 1)
        wire.abort()
        await self.eventually(lambda: len(self.pool) == 0 and not self.site._connections)
        peer.transport.resumeProducing()
        await peer.closed()

    async def test_an_application_that_breaks_off_never_looks_complete(self) -> None:
        """Caddy 2.6 closed a chunked answer properly."""
        for start in (
            HELD % 10 + b"part",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\npart",
        ):
            for reset in (False, True):
                wire = await self.wire()
                index = len(self.application.peers)
                wire.send(GET % b"/")
                peer, _ = await self.application.request(index)
                peer.send(start)
                await wire.bytes(b"part")
                peer.abort() if reset else peer.transport.loseConnection()
                answer = await wire.answer()
                self.assertEqual((answer.body, answer.complete), (b"part", False))

    async def test_a_reset_application_without_a_length_never_looks_complete(self) -> None:
        for client in (GET % b"/", b"GET /previews/s1/ HTTP/1.0\r\n\r\n"):
            wire = await self.wire()
            index = len(self.application.peers)
            wire.send(client)
            peer, _ = await self.application.request(index)
            peer.send(b"HTTP/1.1 200 OK\r\n\r\npart")
            await wire.bytes(b"part")
            peer.abort()
            reason = await wire.closed()
            if b"HTTP/1.0" in client:
                self.assertNotIsInstance(reason, ConnectionDone)
            else:
                self.assertFalse((await wire.answer()).complete)

    async def test_chunks_that_break_for_an_http_1_0_client_end_in_a_reset(self) -> None:
        wire = await self.wire()
        wire.send(b"GET /previews/s1/ HTTP/1.0\r\n\r\n")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        await wire.bytes(b"part")
        peer.transport.loseConnection()
        self.assertNotIsInstance(await wire.closed(), ConnectionDone)

    async def test_a_client_that_shuts_its_sending_side_has_left_and_gets_nothing_that_looks_complete(self) -> None:
        """To one of HTTP/1.0 that listens on, an orderly end would be the end of the body."""
        for client in (GET % b"/", b"GET /previews/s1/ HTTP/1.0\r\n\r\n"):
            wire = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port.getHost().port), HalfWire())
            self.wires.append(wire)
            index = len(self.application.peers)
            wire.send(client)
            peer, _ = await self.application.request(index)
            peer.send(b"HTTP/1.1 200 OK\r\n\r\npart")
            await wire.bytes(b"part")
            wire.transport.loseWriteConnection()
            await peer.closed()
            await self.eventually(lambda wire=wire: wire.ended)
            if b"HTTP/1.0" in client:
                self.assertIsNotNone(wire.lost, "it was ended in order")
                self.assertNotIsInstance(wire.lost.value, ConnectionDone)
            else:
                self.assertFalse(read_answer(wire.received, closed=True).complete)

    async def test_bad_chunks_break_the_message_off(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n")
        await wire.bytes(b"part")
        peer.send(b"zz\r\n")
        self.assertFalse((await wire.answer()).complete)

    async def test_chunks_that_are_bad_at_once_are_a_bad_gateway(self) -> None:
        _, answer = await self.exchange(
            GET % b"/", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\nzz\r\n"
        )
        self.assertEqual((answer.status, answer.complete), (502, True))

    async def test_bytes_behind_a_response_are_nobodys(self) -> None:
        """A response to no request must not become the answer to the next one."""
        wire = await self.wire()
        for index in range(3):
            wire.send(GET % b"/")
            peer, _ = await self.application.request(index)
            peer.send(OK + (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil" if index == 0 else b""))
            answer = await wire.answer()
            self.assertEqual((answer.body, answer.rest), (b"ok", b""))
            if index == 1:
                peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
            if index < 2:
                await peer.closed()

    async def test_a_large_body_arrives_whole_both_ways(self) -> None:
        size = 20_000_000
        body = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(size // 32))
        wire = await self.wire()
        wire.send(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        peer = await self.application.peer()
        await peer.bytes(b"\r\n\r\n")
        whole = peer.received.find(b"\r\n\r\n") + 4 + len(body)
        await peer.until(lambda: True if len(peer.received) >= whole else None)
        self.assertTrue(peer.received.endswith(b"\r\n\r\n" + body))
        peer.send(HELD % len(body) + body)
        self.assertEqual((await wire.answer()).body, body)

    async def test_the_fields_that_say_where_a_request_came_from(self) -> None:
        self.register(host=HostMode.PUBLIC)
        seen, _ = await self.exchange((GET % b"/")[:-2] + b"X-Forwarded-For: evil\r\n\r\n", OK)
        fields = dict(fields_of(seen))
        self.assertEqual(fields[b"X-Forwarded-For"], b"127.0.0.1")
        self.assertEqual(fields[b"X-Forwarded-Proto"], b"http")
        self.assertEqual(fields[b"X-Forwarded-Host"], b"public.example")
        self.assertEqual(fields[b"X-Forwarded-Prefix"], b"/previews/s1")
        self.assertEqual(fields[b"Forwarded"], b"for=127.0.0.1;host=public.example;proto=http")
        self.assertEqual(fields[b"Via"], b"1.1 sandbox")
