"""Answers of applications that are no HTTP, or two kinds of it (contract section 5: 502 Bad Gateway)."""

from __future__ import annotations

import json

from tests.gateway.stage import GET, GatewayCase


class Answers(GatewayCase):
    async def assert_bad_gateway(self, response: bytes) -> None:
        _, answer = await self.exchange(GET % b"/", response)
        payload = json.loads(answer.body)
        self.assertEqual(
            (answer.status, payload["message"], payload["code"]), (502, "Bad Gateway", "PREVIEW_BAD_ANSWER"), response
        )
        await self.eventually(lambda: self.pool.idle == 0)

    async def test_what_is_not_http(self) -> None:
        """nginx 1.22 relayed an SSH banner as HTTP/0.9."""
        for response in (
            b"SSH-2.0-OpenSSH_9.6\r\n",
            b"220 smtp\r\n",
            b"<html>hello</html>",
            b"HTTP/2 200 OK\r\n\r\n",
            b"HTTP/1.1 twohundred\r\n\r\n",
            b"HTTP/1.1 200 OK\nContent-Length: 1\n\na",
            b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n A: b\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nA: %b\r\n\r\n" % (b"x" * 70_000),
        ):
            await self.assert_bad_gateway(response)

    async def test_a_banner_is_refused_though_the_application_stays(self) -> None:
        wire = await self.wire()
        wire.send(GET % b"/")
        peer, _ = await self.application.request()
        peer.send(b"SSH-2.0")
        self.assertEqual((await wire.answer()).status, 502)
        await peer.closed()

    async def test_contradicting_lengths(self) -> None:
        for fields in (
            b"Content-Length: 2\r\nContent-Length: 3\r\n",
            b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip, chunked\r\n",
            b"Content-Length: two\r\n",
        ):
            await self.assert_bad_gateway(b"HTTP/1.1 200 OK\r\n%b\r\nok" % fields)

    async def test_a_101_that_nobody_asked_for(self) -> None:
        """http-proxy-middleware 3 and 4 hung on it."""
        await self.assert_bad_gateway(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
