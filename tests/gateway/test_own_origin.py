"""Whose pages a preview's cookie counts for: those of the origin that the preview is visited by (F37)."""

from __future__ import annotations

from functools import cached_property

from sandbox.gateway.bridge import Timing
from sandbox.gateway.hosts import PreviewHosts
from sandbox.gateway.websocket import WebSockets
from sandbox.http.admission import STREAM
from sandbox.http.routes import Route, Routes
from sandbox.protocols.hostnames import Addresses
from sandbox.protocols.http1.headers import TrustedProxies
from tests.gateway.test_access import AccessCase
from tests.gateway.test_websocket import granting
from tests.waiting import until

_HANDSHAKE = (
    (b"Connection", b"Upgrade"),
    (b"Upgrade", b"websocket"),
    (b"Sec-WebSocket-Version", b"13"),
    (b"Sec-WebSocket-Key", b"dGhlIHNhbXBsZSBub25jZQ=="),
)
Fields = tuple[tuple[bytes, bytes], ...]


class OriginCase(AccessCase):
    """Both forms of the preview of ``s1``; beside it, those of ``s2`` are visited in the same browser."""

    #: What a proxy in front says of every request.
    said: Fields = ()

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        addresses = Addresses(self.public_url, "preview.example")
        routes = Routes([Route(b"/previews/", lambda request: STREAM, self.resource)])
        hosts = PreviewHosts(addresses, self.resource, routes)
        self.site.resource, self.site.admit = hosts, hosts.admit
        self.own = b"%d-s1.preview.example" % self.application.number
        self.sibling = b"%d-s2.preview.example" % self.application.number

    @cached_property
    def upgrades(self) -> WebSockets:  # type: ignore[override]
        """Made when the pool is there."""
        return WebSockets(self.clock, self.pool, Timing(ping=0, grace=0))  # type: ignore[arg-type]

    async def tearDown(self) -> None:
        await super().tearDown()
        await until(lambda: not len(self.upgrades))

    def request(self, method: bytes, path: bytes, host: bytes, *fields: tuple[bytes, bytes]) -> bytes:
        lines = [b"%b: %b" % field for field in ((b"Host", host), *self.said, *fields)]
        return b"%b %b HTTP/1.1\r\n%b\r\n\r\n" % (method, path, b"\r\n".join(lines))

    async def cookie(self, path: bytes, host: bytes) -> bytes:
        """What a browser has after it opened a link there."""
        made = await self.make_link(id=f"{abs(hash((path, host))):022d}")
        answer = await (await self.wire()).ask(self.request(b"GET", path + self.link_path(made)[1:], host))
        self.assertEqual(answer.status, 303)
        return (answer.get(b"set-cookie") or b"").partition(b";")[0]

    async def opens(self, path: bytes, host: bytes, cookie: bytes, origin: bytes) -> bool:
        """Whether a WebSocket is opened for a page of an origin; a form of its pages is judged alike."""
        fields = ((b"Cookie", cookie), (b"Origin", origin))
        browser = await self.wire()
        index = len(self.application.peers)
        browser.send(self.request(b"GET", path, host, *_HANDSHAKE, *fields))
        await self.eventually(lambda: browser.received or len(self.application.peers) > index)
        opened = len(self.application.peers) > index
        if opened:
            application, _ = await self.application.request(index)
            application.send(granting())
        await browser.bytes(b"\r\n\r\n")
        self.assertTrue(browser.received.startswith(b"HTTP/1.1 101 " if opened else b"HTTP/1.1 403 "), origin)
        browser.abort()
        form = await self.wire()
        form.send(self.request(b"POST", path, host, (b"Content-Length", b"0"), *fields))
        if opened:
            application, _ = await self.application.request(index + 1)
            application.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual((await form.answer()).status, 200 if opened else 403, origin)
        return opened

    async def assert_own(self, path: bytes, host: bytes, own: tuple[bytes, ...], foreign: tuple[bytes, ...]) -> None:
        cookie = await self.cookie(path, host)
        for origin in own:
            self.assertTrue(await self.opens(path, host, cookie, origin), origin)
        for origin in foreign:
            self.assertFalse(await self.opens(path, host, cookie, origin), origin)


class Plain(OriginCase):
    """A daemon that browsers reach by plain HTTP."""

    async def test_f37_the_host_forms_own_origin_and_nothing_else(self) -> None:
        own, sibling = self.own, self.sibling
        await self.assert_own(
            b"/",
            own,
            (b"http://" + own, b"http://" + own.upper(), b"http://" + own + b":80"),
            (
                b"http://public.example",
                b"https://public.example",
                b"https://" + own,
                b"http://" + own + b":8080",
                b"http://" + sibling,
                b"http://preview.example",
                b"http://localhost:%d" % self.application.number,
                b"null",
            ),
        )

    async def test_f37_the_port_is_part_of_it(self) -> None:
        await self.assert_own(
            b"/", self.own + b":4002", (b"http://" + self.own + b":4002",), (b"http://" + self.own, b"http://public.example")
        )  # fmt: skip

    async def test_f37_the_path_forms_own_origin_and_nothing_else(self) -> None:
        host = b"public.example"
        await self.assert_own(
            b"/previews/s1/",
            host,
            (b"http://public.example",),
            (b"https://public.example", b"http://public.example:81", b"http://" + self.own, b"http://" + self.sibling),
        )

    async def test_f37_by_another_name_of_the_daemon(self) -> None:
        """The path form's origin is the daemon's own, however a proxy spells the Host."""
        await self.assert_own(
            b"/previews/s1/",
            b"127.0.0.1:4002",
            (b"http://127.0.0.1:4002", b"http://public.example"),
            (b"http://127.0.0.1", b"https://127.0.0.1:4002", b"http://" + self.own),
        )


class BehindTls(OriginCase):
    """… by HTTPS, as only a proxy knows."""

    trusted = TrustedProxies(["127.0.0.1"])
    said = ((b"X-Forwarded-Proto", b"https"),)

    async def test_f37_the_scheme_is_part_of_it(self) -> None:
        await self.assert_own(
            b"/", self.own, (b"https://" + self.own,), (b"http://" + self.own, b"https://public.example")
        )
        await self.assert_own(
            b"/previews/s1/", b"public.example", (b"https://public.example",), (b"https://" + self.own,)
        )


class ByForwarded(BehindTls):
    """… by a proxy that says it as RFC 7239 has it."""

    said = ((b"Forwarded", b"for=192.0.2.1;proto=https"),)


class ByThePublicUrl(OriginCase):
    """… by HTTPS, as ``PUBLIC_URL`` says."""

    public_url = "https://public.example"

    async def test_f37_the_scheme_is_part_of_it(self) -> None:
        await self.assert_own(
            b"/", self.own, (b"https://" + self.own,), (b"http://" + self.own, b"https://public.example")
        )
