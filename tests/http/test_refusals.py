"""Requests that two parsers could read differently never reach an application (contract section 5, RFC 9112)."""

from __future__ import annotations

import json

from sandbox.http.limits import Limits
from tests.gateway.stage import GET, GatewayCase

HEAD = b"%b /previews/s1/ HTTP/1.1\r\nHost: a\r\n"
SMUGGLED = b"GET /previews/s1/smuggled HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Refusals(GatewayCase):
    """400, the connection closed, and nothing upstream."""

    async def assert_refused(self, data: bytes, status: int = 400, code: str = "MALFORMED_REQUEST") -> None:
        wire = await self.wire()
        wire.send(data)
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.get(b"connection"), answer.rest), (status, b"close", b""), data)
        self.assertEqual(json.loads(answer.body)["code"], code)
        wire.transport.loseConnection()
        await wire.closed()
        self.assertEqual(self.application.peers, [], data)

    async def test_heads_that_are_malformed(self) -> None:
        post = HEAD % b"POST"
        for data in (
            post + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            post + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
            post + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
            post + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
            post + b"Content-Length: 3, 3\r\n\r\nabc",
            post + b"Content-Length: +3\r\n\r\nabc",
            post + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
            post + b"Transfer-Encoding: identity\r\n\r\n",
            post + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
            post + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
            post + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
            post + b"A: b\r\n folded\r\n\r\n",
            post + b"A: b\rContent-Length: 3\r\n\r\n",
            post + b"A: b\nContent-Length: 3\r\n\r\n",
            post + b"A: b\0c\r\n\r\n",
            post + b"A(b): c\r\n\r\n",
            post + b"Host: b\r\n\r\n",
            b"GET /previews/s1/ HTTP/1.1\r\n\r\n",
            b"GET /previews/s1/\r\n\r\n",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            b"GET a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
            b"GET /previews/s1/\xff HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET /previews/s1/ HTTP/1.1\nHost: a\n\n",
        ):
            await self.assert_refused(data)
            await self.assert_refused(data + SMUGGLED)

    async def test_a_malformed_head_request_gets_no_content_either(self) -> None:
        """RFC 9110 section 9.3.2."""
        for data in (
            b"HEAD * HTTP/1.1\r\nHost: a\r\n\r\n",
            b"\r\nHEAD / HTTP/1.1\r\nA\n",
            HEAD % b"HEAD" + b"Host: b\r\n\r\n",
        ):
            wire = await self.wire()
            wire.send(data)
            answer = await wire.answer(head_only=True)
            self.assertEqual((answer.status, answer.get(b"connection")), (400, b"close"))
            self.assertNotEqual(answer.get(b"content-length"), b"0")
            wire.transport.loseConnection()
            await wire.closed()
            self.assertEqual(wire.received, b"", data)

    async def test_bad_chunks_of_an_upload_end_it_on_both_sides(self) -> None:
        """The application never sees the end of a body that has none."""
        for bad in (
            b"0x1\r\na\r\n",
            b"1\r\nab\r\n",
            b"1\na\r\n",
            b"1;" + b"x" * 2000 + b"\r\na\r\n",
            b"-1\r\n",
            b"g\r\n",
        ):
            wire = await self.wire()
            index = len(self.application.peers)
            wire.send(HEAD % b"POST" + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
            peer = await self.application.peer(index)
            await peer.bytes(b"3\r\nabc\r\n")
            wire.send(bad + b"0\r\n\r\n" + SMUGGLED)
            answer = await wire.answer()
            self.assertEqual((answer.status, answer.get(b"connection")), (400, b"close"))
            await peer.closed()
            self.assertTrue(peer.received.endswith(b"3\r\nabc\r\n"))
            self.assertNotIn(b"smuggled", peer.received)

    async def test_an_upload_that_is_bad_from_the_start_reaches_nobody_whole(self) -> None:
        wire = await self.wire()
        wire.send(HEAD % b"POST" + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n" + SMUGGLED)
        self.assertEqual((await wire.answer()).status, 400)
        peer = await self.application.peer()
        await peer.closed()
        self.assertNotIn(b"smuggled", peer.received)

    async def test_a_short_content_length_leaves_a_second_request(self) -> None:
        """What is behind a body is the next request, read like any other: here it is none."""
        wire = await self.wire()
        wire.send(HEAD % b"POST" + b"Content-Length: 3\r\n\r\nabcdef")
        peer, _ = await self.application.request(end=b"abc")
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)
        wire.send(b"\r\n\r\n")
        self.assertEqual((await wire.answer()).status, 400)
        self.assertNotIn(b"def", peer.received)

    async def test_lines_and_heads_over_the_limits(self) -> None:
        limits = self.limits
        long = b"/previews/s1/" + b"a" * limits.line
        await self.assert_refused(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % long, 414, "URI_TOO_LONG")
        await self.assert_refused(b"GET " + long, 414, "URI_TOO_LONG")
        big = HEAD % b"GET" + b"A: %b\r\n" % (b"b" * limits.head)
        await self.assert_refused(big + b"\r\n", 431, "HEADERS_TOO_LARGE")
        await self.assert_refused(big, 431, "HEADERS_TOO_LARGE")
        await self.assert_refused(HEAD % b"GET" + b"A: b\r\n" * limits.fields + b"\r\n", 431, "HEADERS_TOO_LARGE")

    async def test_what_is_just_within_the_limits_passes(self) -> None:
        self.assertEqual(self.limits, Limits())
        fields = b"A: b\r\n" * 198 + b"B: %b\r\n" % (b"x" * 47_000)
        wire = await self.wire()
        wire.send((GET % (b"/" + b"a" * 16_000))[:-2] + fields + b"\r\n")
        peer, seen = await self.application.request()
        self.assertEqual((seen.count(b"\r\nA: b"), len(seen) > 63_000), (198, True))
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_empty_lines_before_a_request_are_ignored(self) -> None:
        """RFC 9112 section 2.2."""
        wire = await self.wire()
        wire.send(b"\r\n\r\n" + GET % b"/")
        peer, _ = await self.application.request()
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_a_refusal_never_echoes_what_was_asked(self) -> None:
        """CVE-2022-39348, CVE-2024-41810, CVE-2024-35225."""
        script = b"<script>alert(1)</script>"
        for data in (
            b"GET /nowhere/%b HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n" % script,
            b"GET /previews/%b/ HTTP/1.1\r\nHost: a\r\nAccept: text/html\r\n\r\n" % script,
            b"GET / HTTP/1.1\r\nHost: %b\r\nAccept: text/html\r\n\r\n" % script,
        ):
            wire = await self.wire()
            answer = await wire.ask(data)
            self.assertIn(answer.status, (400, 404))
            self.assertNotIn(b"alert", answer.head + answer.body)
