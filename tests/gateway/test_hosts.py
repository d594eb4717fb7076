"""Preview hosts: the Host says which preview, and the path is the application's own."""

from __future__ import annotations

import json
from typing import Any

from sandbox.domain.host_verdicts import HostMode
from sandbox.gateway.hosts import PreviewHosts
from sandbox.gateway.resource import PreviewResource
from sandbox.gateway.websocket import WebSockets
from sandbox.http.admission import STREAM
from sandbox.http.replies import error_reply
from sandbox.http.routes import Route, Routes
from sandbox.protocols.hostnames import Addresses
from tests.gateway.stage import GatewayCase, admit_all, values
from tests.gateway.test_websocket import asking, granting
from tests.gateway.wires import TEXT, expect, frame

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class HostTests(GatewayCase):
    """A site that serves both forms, under the domain ``localhost``."""

    def setUp(self) -> None:
        super().setUp()
        self.host = b"%d-s1.localhost:4002" % self.application.number
        routes = Routes([Route(b"/previews/", lambda request: STREAM, self.resource)])
        self.use(self.resource, routes)

    def use(self, previews: PreviewResource, routes: Routes) -> None:
        hosts = PreviewHosts(Addresses("http://localhost:4002", "localhost"), previews, routes)
        self.site.resource, self.site.admit = hosts, hosts.admit

    def get(self, path: bytes, *fields: bytes, host: bytes | None = None, method: bytes = b"GET") -> bytes:
        lines = [method + b" " + path + b" HTTP/1.1", b"Host: " + (host or self.host), *fields, b"", b""]
        return b"\r\n".join(lines)

    async def refusal(self, request: bytes) -> tuple[int, str]:
        answer = await (await self.wire()).ask(request)
        return answer.status, json.loads(answer.body)["message"]

    async def test_every_path_is_the_application_s_own(self) -> None:
        paths = (
            b"/",
            b"/a%2F..//b;c?d",
            b"/previews/s1/x",
            b"/api/internal/sessions",
            b"/health",
            b"/internal-previews/",
        )
        for path in paths:
            seen, answer = await self.exchange(self.get(path), OK)
            self.assertEqual((seen.split(b"\r\n")[0], answer.body), (b"GET " + path + b" HTTP/1.1", b"ok"))

    async def test_f4_the_application_sees_one_host_and_origin_and_no_prefix(self) -> None:
        own = b"localhost:%d" % self.application.number
        for mode, host, forwarded in ((HostMode.PUBLIC, self.host, [self.host]), (HostMode.LOCAL, own, [])):
            self.register(host=mode)
            origin = b"Origin: http://" + self.host
            seen, _ = await self.exchange(self.get(b"/", origin, b"Referer: http://" + self.host + b"/page"), OK)
            self.assertEqual(values(seen, b"host"), [host])
            self.assertEqual(values(seen, b"origin"), [b"http://" + host])
            self.assertEqual(values(seen, b"referer"), [b"http://" + host + b"/page"])
            self.assertEqual(values(seen, b"x-forwarded-host"), forwarded)
            self.assertEqual(values(seen, b"x-forwarded-prefix"), [])

    async def test_redirects_and_cookies_stay_on_the_host(self) -> None:
        own = b"http://localhost:%d" % self.application.number
        for location, arrives in (
            (own + b"/x?y", b"/x?y"),
            (b"/x", b"/x"),
            (b"https://a.example/", b"https://a.example/"),
        ):
            response = b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Length: 0\r\n"
            _, answer = await self.exchange(
                self.get(b"/"), response + b"Set-Cookie: a=1; Path=/x; Domain=localhost\r\n\r\n"
            )
            found = answer.get(b"location")
            assert found is not None
            self.assertEqual(found.removeprefix(b"http://" + self.host), arrives)
            self.assertEqual(answer.get(b"set-cookie"), b"a=1; Path=/x")

    async def test_f16_the_port_has_to_be_the_registered_one_and_is_named(self) -> None:
        for port in (1024, self.application.number - 1):
            missing = (404, f"No preview registered on port {port} of session s1")
            host = b"%d-s1.localhost" % port
            self.assertEqual(await self.refusal(self.get(b"/", host=host)), missing)
            self.assertEqual(await self.refusal(self.get(b"/.sandbox/health", host=host)), missing)
        refused = await (await self.wire()).ask(self.get(b"/", host=b"1024-s1.localhost"))
        payload = json.loads(refused.body)
        self.assertEqual((payload["code"], payload["port"]), ("PREVIEW_NOT_REGISTERED", 1024))
        host = b"%d-s2.localhost" % self.application.number
        self.assertEqual(
            await self.refusal(self.get(b"/", host=host)), (404, "No preview port registered for session s2")
        )
        self.assertEqual(self.application.peers, [])

    async def test_ids_that_a_host_cannot_hold_as_they_are(self) -> None:
        self.register("Team_A-", "c2")
        host = Addresses("http://x", "localhost").host_url(self.application.number, "Team_A-")[7:-1].encode()
        _, answer = await self.exchange(self.get(b"/", host=host.upper()), OK)
        self.assertEqual(answer.body, b"ok")

    async def test_health_has_a_path_of_its_own(self) -> None:
        wire = await self.wire()
        refused = (400, "Query parameter 'x' is unknown")
        self.assertEqual(await self.refusal(self.get(b"/.sandbox/health?x")), refused)
        wire.send(self.get(b"/.sandbox/health"))
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
        body = json.loads((await wire.answer()).body)
        expected: dict[str, Any] = {"healthy": True, "sessionId": "s1", "port": self.application.number}
        self.assertEqual(body, {**expected, "statusCode": 503})
        seen, _ = await self.exchange(self.get(b"/.sandbox/health", b"Content-Length: 0", method=b"POST"), OK)
        self.assertTrue(seen.startswith(b"POST /.sandbox/health "))

    async def test_access_control_is_asked_as_for_the_path_form(self) -> None:
        asked: list[tuple[str, bytes]] = []

        def authorize(request: Any, session_id: str, prefix: bytes) -> Any:
            asked.append((session_id, prefix))
            return error_reply(401, "TOKEN_MISSING", "Missing or invalid authorization token")

        guarded = PreviewResource(self.resource._clock, b"/previews/", self.resolver, self.pool, authorize=authorize)
        self.use(guarded, Routes([]))
        refused = (401, "Missing or invalid authorization token")
        self.assertEqual(await self.refusal(self.get(b"/x")), refused)
        self.assertEqual(await self.refusal(self.get(b"/", host=b"1024-s1.localhost")), refused)
        self.assertEqual(asked, [("s1", b""), ("s1", b"")])

    async def test_other_hosts_are_none_of_a_preview(self) -> None:
        for host in (
            b"localhost:4002",
            b"03000-s1.localhost",
            b"s1.localhost",
            self.host.replace(b":", b".example:"),
            b"127.0.0.1",
        ):
            self.assertEqual(await self.refusal(self.get(b"/", host=host)), (404, "No such path"))
        _, answer = await self.exchange(self.get(b"/previews/s1/", host=b"localhost:4002"), OK)
        self.assertEqual(answer.body, b"ok")

    async def test_other_names_below_the_domain_are_nobodys(self) -> None:
        """A proxy that keeps our own paths from the outside judges by our own name."""
        for host in (b"www.localhost", b"99999-s1.localhost:4002", b"a.b.LOCALHOST."):
            self.assertEqual(await self.refusal(self.get(b"/previews/s1/", host=host)), (404, "No such path"), host)
        page = self.get(b"/", host=b"www.localhost")[:-2] + b"Accept: text/html\r\nSec-Fetch-Mode: navigate\r\n\r\n"
        answer = await (await self.wire()).ask(page)
        self.assertEqual((answer.status, answer.get(b"content-type")), (404, b"text/html; charset=utf-8"))

    async def test_our_own_name_may_lie_below_the_domain(self) -> None:
        routes = Routes([Route(b"/previews/", lambda request: STREAM, self.resource)])
        hosts = PreviewHosts(Addresses("http://box.localhost:4002", "localhost"), self.resource, routes)
        self.site.resource, self.site.admit = hosts, hosts.admit
        _, answer = await self.exchange(self.get(b"/previews/s1/", host=b"Box.localhost:4002"), OK)
        self.assertEqual(answer.body, b"ok")

    async def test_websockets_too(self) -> None:
        sockets = WebSockets(self.resource._clock, self.pool)  # type: ignore[arg-type]
        previews = PreviewResource(
            self.resource._clock, b"/previews/", self.resolver, self.pool, authorize=admit_all, upgrades=sockets
        )
        self.use(previews, Routes([]))
        wire = await self.wire()
        wire.send(asking(b"/hmr?a=b", b"Origin: http://" + self.host, host=b"Host: " + self.host))
        peer, seen = await self.application.request()
        self.assertTrue(seen.startswith(b"GET /hmr?a=b HTTP/1.1\r\n"))
        self.assertEqual(values(seen, b"origin"), [b"http://localhost:%d" % self.application.number])
        peer.send(granting() + frame(TEXT, b"hello"))
        await wire.bytes(b"\r\n\r\n")
        wire.received = wire.received.partition(b"\r\n\r\n")[2]
        await expect(wire, frame(TEXT, b"hello"))
