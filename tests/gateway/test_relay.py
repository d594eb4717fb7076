"""Requests and responses through the gateway, byte for byte (contract section 5, RFC 9110 and 9112)."""

from __future__ import annotations

from tests.gateway.stage import GET, GatewayCase, fields_of, values

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Carrying(GatewayCase):
    """Plain exchanges."""

    async def test_a_request_goes_to_the_application_and_its_answer_comes_back(self) -> None:
        seen, answer = await self.exchange(GET % b"/a?b", OK)
        self.assertTrue(seen.startswith(b"GET /a?b HTTP/1.1\r\nHost: localhost:%d\r\n" % self.application.number))
        self.assertEqual((answer.status, answer.body), (200, b"ok"))
