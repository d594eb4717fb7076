"""WebSockets under access control: opened by a token or a cookie, closed with 1008 when that ends."""

from __future__ import annotations

import struct
from functools import cached_property

from sandbox.gateway.bridge import Timing
from sandbox.gateway.websocket import WebSockets
from tests.gateway.stage import values
from tests.gateway.test_access import INVALID, MISSING, AccessCase, bearer, request
from tests.gateway.test_websocket import granting
from tests.http.wire import Wire
from tests.policy.jwts import token
from tests.stores.aggregates import using
from tests.waiting import until


class WebSocketAccessCase(AccessCase):
    """The application grants every handshake."""

    @cached_property
    def upgrades(self) -> WebSockets:  # type: ignore[override]
        """Made when the pool is there."""
        return WebSockets(self.clock, self.pool, Timing(ping=0, grace=0))  # type: ignore[arg-type]

    async def tearDown(self) -> None:
        await super().tearDown()
        await until(lambda: not len(self.upgrades))

    async def opened(
        self, path: bytes = b"/", *fields: tuple[bytes, bytes], granted: tuple[bytes, ...] = ()
    ) -> tuple[Wire, Wire, bytes, bytes]:
        """An open WebSocket: both wires, what the application saw, and the head of the browser's 101."""
        browser = await self.wire()
        index = len(self.application.peers)
        browser.send(request(b"UPGRADE", path, *fields))
        application, seen = await self.application.request(index)
        application.send(granting(*granted))
        await browser.bytes(b"\r\n\r\n")
        head, _, browser.received = browser.received.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 101 "), head)
        return browser, application, seen, head

    async def assert_closed(self, browser: Wire, application: Wire) -> None:
        """The browser is told 1008, and both connections end."""
        await self.clock.pass_until(lambda: len(browser.received) >= 4)
        self.assertEqual(browser.received[0], 0x88)
        self.assertEqual(struct.unpack("!H", browser.received[2:4])[0], 1008)
        await self.clock.pass_until(lambda: browser.lost and application.lost)

    async def assert_closed_at(self, end: float, browser: Wire, application: Wire) -> None:
        """They are told within 5 seconds of that time, and not before."""
        await self.clock.pass_time(end - self.clock.seconds() - 1)
        self.assertEqual((browser.received, browser.lost), (b"", None))
        await self.clock.pass_time(6)
        await browser.until(lambda: True if len(browser.received) >= 4 else None)
        await self.assert_closed(browser, application)


class WebSocketAccess(WebSocketAccessCase):
    """Opened by whatever opens a page, and closed when that ends."""

    async def test_by_each_kind_of_token(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link(user_id="carol")))
        for path, fields, user in (
            (b"/ws?a=1", (bearer(token()),), b"alice"),
            (b"/ws?a=1&access_token=" + token(), (), b"alice"),
            (b"/ws?a=1", ((b"Sec-WebSocket-Protocol", b"bearer, " + token()),), b"alice"),
            (b"/ws?a=1", ((b"Cookie", cookie), (b"Origin", b"http://public.example")), b"carol"),
            (self.link_path(await self.make_link(id="w" * 22)).replace(b"/?", b"/ws?a=1&"), (), None),
        ):
            with self.subTest(fields):
                browser, _, seen, head = await self.opened(path, *fields)
                self.assertTrue(seen.startswith(b"GET /ws?a=1 HTTP/1.1\r\n"), seen)
                self.assertEqual(values(seen, b"x-sandbox-user"), [user] if user else [])
                for name in (b"authorization", b"cookie", b"sec-websocket-protocol"):
                    self.assertEqual(values(seen, name), [])
                self.assertNotIn(b"Set-Cookie", head)
                browser.abort()

    async def test_a_browser_that_offered_only_its_token_is_answered_with_bearer(self) -> None:
        browser, _, _, head = await self.opened(b"/", (b"Sec-WebSocket-Protocol", b"bearer, " + token()))
        self.assertIn(b"\r\nSec-WebSocket-Protocol: bearer\r\n", head)
        browser.abort()

    async def test_among_others_the_applications_choice_counts(self) -> None:
        offered = (b"Sec-WebSocket-Protocol", b"bearer, " + token() + b", vite-hmr")
        browser, _, seen, head = await self.opened(b"/", offered, granted=(b"Sec-WebSocket-Protocol: vite-hmr",))
        self.assertEqual(values(seen, b"sec-websocket-protocol"), [b"vite-hmr"])
        self.assertEqual(values(head + b"\r\n\r\n", b"sec-websocket-protocol"), [b"vite-hmr"])
        browser.abort()

    async def test_refused_before_anything_goes_upstream(self) -> None:
        for fields, message in (
            ((), MISSING),
            (((b"Sec-WebSocket-Protocol", b"bearer"),), MISSING),
            (((b"Sec-WebSocket-Protocol", b"vite-hmr"),), MISSING),
            (((b"Sec-WebSocket-Protocol", b"bearer, " + token(key=b"x" * 32)),), INVALID),
        ):
            await self.assert_refused(request(b"UPGRADE", b"/", *fields), 401, message)

    async def test_it_is_closed_when_the_token_expires(self) -> None:
        end = self.clock.seconds() + 60
        browser, application, _, _ = await self.opened(b"/", bearer(token(exp=end)))
        await self.assert_closed_at(end, browser, application)

    async def test_it_is_closed_when_the_link_is_revoked(self) -> None:
        made = await self.make_link()
        cookie, _ = await self.visit(self.link_path(made))
        browser, application, _, _ = await self.opened(b"/", (b"Cookie", cookie))
        other, _, _, _ = await self.opened(b"/", bearer(token()))
        await using(self.store).remove_link(made.id)
        self.access.link_revoked("s1", made.id)
        await self.assert_closed(browser, application)
        self.assertEqual((other.received, other.lost), (b"", None))
        other.abort()

    async def test_it_is_closed_when_the_session_is_deleted(self) -> None:
        browser, application, _, _ = await self.opened(b"/", bearer(token()))
        await using(self.store).remove("s1")
        self.access.session_changed("s1")
        await self.assert_closed(browser, application)

    async def test_authority_that_ends_during_the_handshake_ends_it(self) -> None:
        browser = await self.wire()
        browser.send(request(b"UPGRADE", b"/", bearer(token())))
        application, _ = await self.application.request()
        self.access.session_changed("s1")
        await browser.closed()
        await application.closed()
        self.assertEqual(browser.received, b"")


class ShortLivedCookies(WebSocketAccessCase):
    """An open socket is in use: it ends with the link, not with the cookie that it was opened with."""

    cookie_lifetime = 10

    async def test_it_outlives_the_cookie_and_ends_with_the_link(self) -> None:
        made = await self.make_link(seconds=60)
        cookie, _ = await self.visit(self.link_path(made))
        browser, application, _, _ = await self.opened(b"/", (b"Cookie", cookie))
        await self.assert_closed_at(made.expires_at.timestamp(), browser, application)
