"""Access control at the gateway: contract section 6 over raw sockets, in memory and on SQLite."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from twisted.internet import reactor
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.model import Link
from sandbox.gateway.access import PreviewAccess
from sandbox.policy.access import mode_of
from sandbox.protocols.http1.headers import TrustedProxies
from sandbox.routing.access import Access, Keys
from sandbox.routing.authorizations import LOOK
from sandbox.scheduling.scheduler import Scheduler
from sandbox.stores.memory.store import MemoryStore
from sandbox.stores.sqlite.store import SqliteStore
from tests.contracts.store import link, session
from tests.gateway.stage import GatewayCase, values
from tests.http.wire import Answer, Wire
from tests.policy.jwts import SECRET, attacks, token
from tests.stores.aggregates import using
from tests.turns import SteppedClock

METHODS = (b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"UPGRADE")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MISSING = "Missing or invalid authorization token"
INVALID = "Invalid token"
EXPIRED = "Token has expired"
DENIED = "You do not have permission to access this preview"


def request(method: bytes = b"GET", path: bytes = b"/", *fields: tuple[bytes, bytes], session: bytes = b"s1") -> bytes:
    """A request to a session's preview; ``UPGRADE`` is a WebSocket's opening handshake."""
    lines = [b"Host: public.example", *(b"%b: %b" % field for field in fields)]
    if method == b"UPGRADE":
        method = b"GET"
        lines += [b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"]
        lines += [b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    elif method in {b"POST", b"PUT"}:
        lines += [b"Content-Length: 5", b"Expect: 100-continue"]
    return b"%b /previews/%b%b HTTP/1.1\r\n%b\r\n\r\n" % (method, session, path, b"\r\n".join(lines))


def bearer(text: bytes) -> tuple[bytes, bytes]:
    """An Authorization field."""
    return (b"Authorization", b"Bearer " + text)


class AccessCase(GatewayCase):
    """A gateway whose session ``s1`` is ``alice``'s. A subclass gives ``make_store()``.

    :ivar modes: what sessions' registrations say of access.
    """

    enforced = True
    cookie_lifetime = 1800
    public_url = "http://public.example"
    trusted = TrustedProxies()

    clock: SteppedClock

    async def setUp(self) -> None:  # type: ignore[override]
        self.clock = SteppedClock()
        # Dates are by the same clock, so that tests move both.
        self.clock.advance(time.time())
        self.store: Any = await self.make_store()
        await self.store.open()
        await using(self.store).add(session("s1", user_id="alice"))
        self.access = Access(
            self.clock,
            self.store,
            Keys([SECRET], b"s" * 32),
            cookie_lifetime=self.cookie_lifetime,
            now=self.clock.seconds,
        )
        scheduler = Scheduler(reactor)
        scheduler.every(LOOK, "authorizations", self.access.end_expired)
        self.addCleanup(scheduler.close)
        self.modes: dict[str, str] = {}
        self.authorize = PreviewAccess(
            self.access,
            lambda session_id: mode_of(self.modes.get(session_id), self.enforced),
            public_url=self.public_url,
            trusted=self.trusted,
        )
        super().setUp()

    async def tearDown(self) -> None:
        await super().tearDown()
        self.assertEqual(len(self.access._authorizations), 0, "every authority was released")

    async def make_store(self) -> Any:
        return MemoryStore()

    async def make_link(self, *, seconds: float = 3600, id: str = "k" * 22, **changes: Any) -> Link:
        ends = int(self.clock.seconds() + seconds)
        made = link(id, **{"user_id": None, "expires_at": datetime.fromtimestamp(ends, UTC), **changes})
        await using(self.store).add_link(made)
        return made

    def link_path(self, made: Link, rest: bytes = b"") -> bytes:
        """The path and query of a link's URL."""
        return b"/?access_token=" + self.access.link_token(made).encode() + rest

    async def ask(self, text: bytes) -> Answer:
        """The answer to a request that the application must not see."""
        answer = await (await self.wire()).ask(text)
        self.assertEqual(self.application.peers, [], "nothing reached the application")
        return answer

    async def assert_refused(self, text: bytes, status: int, message: str) -> Answer:
        answer = await self.ask(text)
        self.assertEqual(answer.status, status, answer)
        challenge = answer.get(b"www-authenticate")
        self.assertEqual(challenge, b"Bearer" if status == 401 else None)
        if not text.startswith(b"HEAD "):
            self.assertIn(b'"message": "%b"' % message.encode(), answer.body)
        return answer

    async def seen(self, text: bytes, response: bytes = OK) -> tuple[bytes, Answer]:
        """What the application sees of a request, and its answer at the client."""
        seen, answer = await self.exchange(text, response)
        self.assertEqual(answer.status, 200)
        return seen, answer

    async def visit(self, path: bytes, *fields: tuple[bytes, bytes]) -> tuple[bytes, bytes]:
        """Open a URL with a token; the cookie's pair and where the browser is sent."""
        answer = await self.ask(request(b"GET", path, *fields))
        self.assertEqual(answer.status, 303)
        cookie, location = answer.get(b"set-cookie"), answer.get(b"location")
        assert cookie is not None
        assert location is not None
        return cookie.partition(b";")[0], location


class TableMixin:
    """The contract's table, and every known bad token, by every method, in every place."""

    async def test_no_token_or_not_bearer(self: Any) -> None:
        for method in METHODS:
            for fields in ((), ((b"Authorization", b"Basic YTpi"),), ((b"Authorization", b"Bearer"),)):
                await self.assert_refused(request(method, b"/", *fields), 401, MISSING)

    async def test_every_bad_token_in_the_header(self: Any) -> None:
        for name, text in attacks().items():
            if re.search(rb"[\0\n]| \Z", text) or len(text) > 60_000:
                continue  # No header field can carry it; the query can.
            for method in METHODS:
                with self.subTest(name, method=method):
                    await self.assert_refused(request(method, b"/", bearer(text)), 401, INVALID)

    async def test_every_bad_token_in_the_query(self: Any) -> None:
        for name, text in attacks().items():
            if len(text) > 10_000:
                continue  # The request line is not that long.
            for method in (b"GET", b"POST", b"UPGRADE"):
                with self.subTest(name, method=method):
                    path = b"/?access_token=" + quote(text).encode()
                    await self.assert_refused(request(method, path), 401, INVALID)

    async def test_every_bad_token_as_a_subprotocol(self: Any) -> None:
        for name, text in attacks().items():
            if re.search(rb"[\0\n,]| \Z", text) or len(text) > 60_000:
                continue
            with self.subTest(name):
                field = (b"Sec-WebSocket-Protocol", b"bearer, " + text)
                await self.assert_refused(request(b"UPGRADE", b"/", field), 401, INVALID)

    async def test_expired_by_every_method(self: Any) -> None:
        for method in METHODS:
            await self.assert_refused(request(method, b"/", bearer(token(exp=1))), 401, EXPIRED)

    async def test_anothers_session_by_every_method(self: Any) -> None:
        for method in METHODS:
            await self.assert_refused(request(method, b"/", bearer(token(sub="bob"))), 403, DENIED)

    async def test_no_such_session(self: Any) -> None:
        self.register("s2")
        await self.assert_refused(request(b"GET", b"/", bearer(token()), session=b"s2"), 403, DENIED)

    async def test_it_is_checked_before_the_registration(self: Any) -> None:
        self.resolver.previews.clear()
        await self.assert_refused(request(), 401, MISSING)
        answer = await self.ask(request(b"GET", b"/", bearer(token())))
        self.assertEqual(answer.status, 404)

    async def test_it_is_checked_before_any_body_is_asked_for(self: Any) -> None:
        answer = await self.assert_refused(request(b"POST", b"/"), 401, MISSING)
        self.assertEqual(answer.rest, b"")

    async def test_health_is_public(self: Any) -> None:
        wire = await self.wire()
        wire.send(request(b"GET", b"/health"))
        peer, _ = await self.application.request()
        peer.send(OK)
        self.assertIn(b'"healthy": true', (await wire.answer()).body)

    async def test_other_methods_on_healths_path_are_the_applications(self: Any) -> None:
        await self.assert_refused(request(b"POST", b"/health"), 401, MISSING)

    async def test_the_owner_passes_by_every_method(self: Any) -> None:
        for method in (b"GET", b"POST", b"OPTIONS", b"DELETE"):
            text = request(method, b"/a?b", bearer(token(sub="alice"))).replace(b"Expect: 100-continue\r\n", b"")
            wire = await self.wire()
            index = len(self.application.peers)
            wire.send(text + (b"hello" if method == b"POST" else b""))
            peer, seen = await self.application.request(index)
            self.assertTrue(seen.startswith(method + b" /a?b HTTP/1.1\r\n"))
            peer.send(OK)
            peer.transport.loseConnection()
            self.assertEqual((await wire.answer()).status, 200)

    async def test_a_database_that_is_away_keeps_the_door_shut(self: Any) -> None:
        await self.store.close()
        for method in METHODS:
            answer = await self.assert_refused(
                request(method, b"/", bearer(token())), 503, "Cannot check access right now"
            )
            self.assertEqual(answer.get(b"retry-after"), b"2")


class TableInMemory(TableMixin, AccessCase):
    """On the memory store."""


class TableOnSqlite(TableMixin, AccessCase):
    """On SQLite."""

    async def make_store(self) -> Any:
        directory = self.mktemp()
        os.mkdir(directory)
        store = SqliteStore(reactor, os.path.join(directory, "sandbox.db"))
        self.addCleanup(store.close)
        return store


class Switches(AccessCase):
    """What a registration says wins over what the environment says."""

    enforced = False

    async def test_off_everybody_passes_and_nothing_is_changed(self) -> None:
        fields = ((b"Authorization", b"Bearer their.own.token"), (b"Cookie", b"a=1; b=2"))
        seen, _ = await self.seen(request(b"GET", b"/x?access_token=theirs", *fields))
        self.assertTrue(seen.startswith(b"GET /x?access_token=theirs HTTP/1.1\r\n"))
        self.assertEqual((values(seen, b"authorization"), values(seen, b"cookie")), ([fields[0][1]], [fields[1][1]]))

    async def test_off_a_token_of_the_platform_does_not_reach_the_container(self) -> None:
        for sub in ("alice", "bob"):
            seen, _ = await self.seen(request(b"GET", b"/", bearer(token(sub=sub)), (b"X-Sandbox-User", b"root")))
            self.assertEqual((values(seen, b"authorization"), values(seen, b"x-sandbox-user")), ([], []))

    async def test_off_a_cookie_of_ours_does_not_reach_the_container(self) -> None:
        seen, _ = await self.seen(request(b"GET", b"/", (b"Cookie", b"sandbox-preview=x; a=1")))
        self.assertEqual(values(seen, b"cookie"), [b"a=1"])

    async def test_off_a_link_leaves_the_address_bar_all_the_same(self) -> None:
        answer = await self.ask(request(b"GET", self.link_path(await self.make_link(), b"&a=1")))
        self.assertEqual((answer.status, answer.get(b"location")), (303, b"/previews/s1/?a=1"))

    async def test_a_registration_may_ask_for_more(self) -> None:
        for mode in ("owner", "link"):
            self.modes["s1"] = mode
            await self.assert_refused(request(), 401, MISSING)

    async def test_where_only_the_owner_may_see_other_links_are_denied(self) -> None:
        self.modes["s1"] = "owner"
        made = await self.make_link()
        await self.assert_refused(request(b"GET", self.link_path(made)), 403, DENIED)
        owners = await self.make_link(id="o" * 22, user_id="alice")
        cookie, _ = await self.visit(self.link_path(owners))
        seen, _ = await self.seen(request(b"GET", b"/", (b"Cookie", cookie)))
        self.assertEqual(values(seen, b"x-sandbox-user"), [b"alice"])


class PublicAmongGuarded(AccessCase):
    """On, and a registration that asks for less."""

    async def test_a_public_preview_is_seen_by_everybody(self) -> None:
        self.modes["s1"] = "public"
        await self.store.close()
        await self.seen(request())


class Cleaning(AccessCase):
    """Nothing of ours reaches the container, and nobody but us says who the user is."""

    async def test_the_accepted_token_goes_and_the_user_is_told(self) -> None:
        spoofed = [(name, b"root") for name in (b"X-Sandbox-User", b"x-sandbox-user", b"X_Sandbox_User")]
        key = [(b"X-Internal-Service-Key", b"key"), (b"X_Internal_Service_Key", b"key")]
        seen, _ = await self.seen(request(b"GET", b"/", bearer(token()), *spoofed, *key))
        self.assertEqual(values(seen, b"x-sandbox-user"), [b"alice"])
        self.assertEqual(values(seen, b"authorization"), [])
        self.assertNotIn(b"key", seen.lower())
        self.assertNotIn(b"root", seen)
        self.assertNotIn(token(), seen)

    async def test_connection_cannot_take_the_user_away(self) -> None:
        seen, _ = await self.seen(request(b"GET", b"/", bearer(token()), (b"Connection", b"X-Sandbox-User, close")))
        self.assertEqual(values(seen, b"x-sandbox-user"), [b"alice"])

    async def test_a_trailer_cannot_name_the_user(self) -> None:
        wire = await self.wire()
        wire.send(
            b"POST /previews/s1/ HTTP/1.1\r\nHost: public.example\r\nAuthorization: Bearer %b\r\n"
            b"Transfer-Encoding: chunked\r\nTrailer: X-Sandbox-User\r\n\r\n"
            b"2\r\nhi\r\n0\r\nX-Sandbox-User: root\r\nX_Sandbox_User: root\r\nX-Other: fine\r\n\r\n" % token()
        )
        peer = await self.application.peer()
        await peer.bytes(b"X-Other: fine\r\n\r\n")
        self.assertNotIn(b"root", peer.received)
        peer.send(OK)
        await wire.answer()

    async def test_a_user_id_is_one_field_value_whatever_it_is(self) -> None:
        user = "Zoë\r\nX-Evil: 1"
        await using(self.store).add(session("s2", user_id=user))
        self.register("s2")
        seen, _ = await self.seen(request(b"GET", b"/", bearer(token(sub=user)), session=b"s2"))
        self.assertEqual(values(seen, b"x-sandbox-user"), [b"Zo%C3%AB%0D%0AX-Evil:%201"])
        self.assertEqual(values(seen, b"x-evil"), [])

    async def test_with_a_cookie_the_applications_own_authorization_passes(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        own = (b"Authorization", b"Bearer their.own.token")
        seen, _ = await self.seen(
            request(b"GET", b"/?access_token=theirs", own, (b"Cookie", b"a=1; " + cookie + b"; b=2"))
        )
        self.assertEqual(values(seen, b"authorization"), [own[1]])
        self.assertEqual(values(seen, b"cookie"), [b"a=1; b=2"])
        self.assertTrue(seen.startswith(b"GET /?access_token=theirs HTTP/1.1\r\n"))
        self.assertNotIn(b"sandbox-preview", seen)

    async def test_with_a_cookie_another_users_token_still_does_not_pass(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        seen, _ = await self.seen(request(b"GET", b"/", bearer(token(sub="bob")), (b"Cookie", cookie)))
        self.assertEqual((values(seen, b"authorization"), values(seen, b"x-sandbox-user")), ([], []))

    async def test_a_token_in_the_query_of_what_is_no_visit_is_taken_out(self) -> None:
        wire = await self.wire()
        wire.send(
            request(b"POST", b"/a?b=1&access_token=%b&c=%%20" % token()).replace(b"Expect: 100-continue\r\n", b"")
            + b"hello"
        )
        peer, seen = await self.application.request()
        self.assertTrue(seen.startswith(b"POST /a?b=1&c=%20 HTTP/1.1\r\n"))
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)


class Visits(AccessCase):
    """Links, and tokens in URLs, become cookies."""

    async def test_a_link_becomes_a_cookie_of_this_preview_and_a_clean_url(self) -> None:
        made = await self.make_link(user_id="carol")
        answer = await self.ask(request(b"GET", self.link_path(made, b"&a=%20;b")))
        self.assertEqual((answer.status, answer.body), (303, b""))
        self.assertEqual(answer.get(b"location"), b"/previews/s1/?a=%20;b")
        self.assertRegex(
            answer.get(b"set-cookie"),
            rb"\Asandbox-preview=[A-Za-z0-9._-]+; Path=/previews/s1; Max-Age=1800; HttpOnly; SameSite=Lax\Z",
        )
        self.assertEqual(answer.get(b"cache-control"), b"no-store")
        self.assertEqual(answer.get(b"referrer-policy"), b"no-referrer")
        cookie = answer.get(b"set-cookie").partition(b";")[0]
        for method in (b"GET", b"DELETE"):
            seen, again = await self.seen(request(method, b"/x", (b"Cookie", cookie)))
            self.assertEqual(values(seen, b"x-sandbox-user"), [b"carol"])
            self.assertEqual((values(seen, b"cookie"), again.all(b"set-cookie")), ([], []))

    async def test_a_token_in_the_url_is_exchanged_in_the_same_way(self) -> None:
        cookie, location = await self.visit(b"/deep/path?access_token=%b" % token(exp=int(self.clock.seconds()) + 60))
        self.assertEqual(location, b"/previews/s1/deep/path")
        seen, _ = await self.seen(request(b"GET", b"/", (b"Cookie", cookie)))
        self.assertEqual(values(seen, b"x-sandbox-user"), [b"alice"])

    async def test_head_is_a_visit_too(self) -> None:
        answer = await self.ask(request(b"HEAD", self.link_path(await self.make_link())))
        self.assertEqual(answer.status, 303)

    async def test_a_visit_with_an_old_token_and_a_good_cookie_goes_on_with_the_cookie(self) -> None:
        made = await self.make_link()
        cookie, _ = await self.visit(self.link_path(made))
        answer = await self.ask(request(b"GET", b"/?access_token=" + token(exp=1), (b"Cookie", cookie)))
        self.assertEqual(
            (answer.status, answer.get(b"location"), answer.all(b"set-cookie")), (303, b"/previews/s1/", [])
        )

    async def test_a_link_of_another_session_is_denied(self) -> None:
        made = await self.make_link(session_id="s2")
        self.register("s2")
        await self.assert_refused(request(b"GET", self.link_path(made)), 403, DENIED)

    async def test_a_cookie_of_another_session_is_denied(self) -> None:
        await using(self.store).add(session("s2", user_id="alice"))
        self.register("s2")
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        await self.assert_refused(request(b"GET", b"/", (b"Cookie", cookie), session=b"s2"), 403, DENIED)

    async def test_a_revoked_link_is_refused_by_url_and_by_cookie(self) -> None:
        made = await self.make_link()
        cookie, _ = await self.visit(self.link_path(made))
        await using(self.store).remove_link(made.id)
        self.access.link_revoked("s1", made.id)
        for method in METHODS:
            await self.assert_refused(request(method, self.link_path(made)), 401, INVALID)
            await self.assert_refused(request(method, b"/", (b"Cookie", cookie)), 401, INVALID)

    async def test_a_browser_gets_a_page(self) -> None:
        answer = await self.ask(request(b"GET", b"/", (b"Accept", b"text/html"), (b"Sec-Fetch-Mode", b"navigate")))
        self.assertEqual((answer.status, answer.get(b"www-authenticate")), (401, b"Bearer"))
        self.assertTrue(answer.get(b"content-type").startswith(b"text/html"))
        self.assertIn(MISSING.encode(), answer.body)


class Https(AccessCase):
    """Browsers that come by https get Secure cookies."""

    public_url = "https://public.example"

    async def test_by_the_public_url(self) -> None:
        answer = await self.ask(request(b"GET", self.link_path(await self.make_link())))
        self.assertRegex(answer.get(b"set-cookie"), rb"\Asandbox-preview=.*; Path=/previews/s1; .*; Secure\Z")


class HttpsByProxy(AccessCase):
    """… also when only a proxy knows."""

    trusted = TrustedProxies(["127.0.0.1"])

    async def test_by_a_trusted_proxys_word(self) -> None:
        made = await self.make_link()
        for value, secure in ((b"https", True), (b"HTTPS, http", True), (b"http", False), (b"http, https", False)):
            answer = await self.ask(request(b"GET", self.link_path(made), (b"X-Forwarded-Proto", value)))
            self.assertEqual(answer.get(b"set-cookie").endswith(b"; Secure"), secure, value)


class HttpsByNobody(AccessCase):
    """… but not by anybody's."""

    async def test_anybodys_word_counts_nothing(self) -> None:
        made = await self.make_link()
        answer = await self.ask(request(b"GET", self.link_path(made), (b"X-Forwarded-Proto", b"https")))
        self.assertFalse(answer.get(b"set-cookie").endswith(b"; Secure"))


class Renewal(AccessCase):
    """A cookie is renewed while it is used."""

    async def test_once_half_of_its_life_is_over(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        _, answer = await self.seen(request(b"GET", b"/", (b"Cookie", cookie)))
        self.assertEqual(answer.all(b"set-cookie"), [])
        await self.clock.pass_time(self.cookie_lifetime / 2 + 1, step=10)
        _, answer = await self.seen(
            request(b"GET", b"/", (b"Cookie", cookie)),
            b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nContent-Length: 2\r\n\r\nok",
        )
        theirs, ours = answer.all(b"set-cookie")
        self.assertEqual(theirs, b"a=1")
        self.assertRegex(ours, rb"\Asandbox-preview=.*; Path=/previews/s1; Max-Age=1800; HttpOnly; SameSite=Lax\Z")
        await self.seen(request(b"GET", b"/", (b"Cookie", ours.partition(b";")[0])))


class CrossOrigin(AccessCase):
    """A cookie does not speak for other pages (docs/security.md)."""

    async def test_what_another_page_sends_is_denied(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        for method, fields in (
            (b"POST", ((b"Origin", b"https://evil.example"),)),
            (b"UPGRADE", ((b"Origin", b"https://evil.example"),)),
            (b"UPGRADE", ((b"Origin", b"null"),)),
            (b"GET", ((b"Sec-Fetch-Site", b"same-site"), (b"Sec-Fetch-Mode", b"no-cors"))),
            (b"POST", ((b"Sec-Fetch-Site", b"cross-site"),)),
        ):
            with self.subTest(fields, method=method):
                answer = await self.assert_refused(request(method, b"/", (b"Cookie", cookie), *fields), 403, DENIED)
                self.assertIn(b"CROSS_ORIGIN", answer.body)

    async def test_a_form_on_another_page_is_answered_with_a_page(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        fields = ((b"Cookie", cookie), (b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Mode", b"navigate"))
        answer = await self.ask(request(b"POST", b"/", *fields))
        self.assertEqual((answer.status, answer.get(b"content-type")), (403, b"text/html; charset=utf-8"))
        for words in (DENIED.encode(), b"CROSS_ORIGIN", b"Open the preview itself"):
            self.assertIn(words, answer.body)

    async def test_its_own_pages_and_navigations_pass(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        for fields in (
            ((b"Origin", b"http://public.example"),),
            ((b"Sec-Fetch-Site", b"same-origin"), (b"Sec-Fetch-Mode", b"cors"), (b"Origin", b"http://public.example")),
            ((b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Mode", b"navigate"), (b"Sec-Fetch-Dest", b"document")),
        ):
            await self.seen(request(b"GET", b"/", (b"Cookie", cookie), *fields))

    async def test_a_token_that_a_script_sends_speaks_for_itself(self) -> None:
        await self.seen(request(b"GET", b"/", bearer(token()), (b"Origin", b"https://elsewhere.example")))


class Remembered(AccessCase):
    """What was granted to a field section is remembered, and nothing that decides is forgotten over it."""

    async def twice(self, text: bytes) -> list[bytes]:
        seen = [(await self.seen(text))[0] for _ in range(2)]
        # Each has an id of its own.
        return [re.sub(rb"X-Request-Id: \S+", b"X-Request-Id: *", each) for each in seen]

    async def test_the_second_request_arrives_like_the_first(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link(user_id="carol")))
        for fields in ((bearer(token()),), ((b"Cookie", b"a=1; " + cookie), (b"Sec-Fetch-Site", b"same-origin"))):
            first, second = await self.twice(request(b"GET", b"/x", *fields))
            self.assertEqual(first, second)
            self.assertEqual(len(values(second, b"x-sandbox-user")), 1)
        self.assertEqual(len(self.authorize._known), 2)

    async def test_another_target_is_its_own(self) -> None:
        await self.seen(request(b"GET", b"/a", bearer(token())))
        seen, _ = await self.seen(request(b"GET", b"/b?c", bearer(token())))
        self.assertTrue(seen.startswith(b"GET /b?c HTTP/1.1\r\n"))

    async def test_another_session_is_asked_for(self) -> None:
        await using(self.store).add(session("s2", user_id="bob"))
        self.register("s2")
        await self.twice(request(b"GET", b"/", bearer(token())))
        answer = await (await self.wire()).ask(request(b"GET", b"/", bearer(token()), session=b"s2"))
        self.assertEqual(answer.status, 403)

    async def test_a_token_in_the_url_is_looked_at(self) -> None:
        await self.twice(request(b"GET", b"/", bearer(token())))
        answer = await (await self.wire()).ask(request(b"GET", b"/?access_token=" + token(exp=1), bearer(token())))
        self.assertEqual((answer.status, answer.get(b"location")), (303, b"/previews/s1/"))

    async def test_under_an_escaped_name_a_token_that_was_taken_goes_no_further_either(self) -> None:
        text = token()
        await self.twice(request(b"GET", b"/", bearer(text)))
        seen, _ = await self.seen(request(b"GET", b"/?a=1&%61ccess_token=" + text, bearer(text)))
        self.assertTrue(seen.startswith(b"GET /?a=1 HTTP/1.1\r\n"), seen)

    async def test_it_ends_with_the_token(self) -> None:
        text = request(b"GET", b"/", bearer(token(exp=self.clock.seconds() + 5)))
        await self.twice(text)
        await self.clock.pass_time(6)
        self.assertIn(EXPIRED.encode(), (await (await self.wire()).ask(text)).body)

    async def test_it_ends_with_the_link(self) -> None:
        made = await self.make_link()
        cookie, _ = await self.visit(self.link_path(made))
        text = request(b"GET", b"/", (b"Cookie", cookie))
        await self.twice(text)
        await using(self.store).remove_link(made.id)
        self.access.link_revoked("s1", made.id)
        self.assertIn(INVALID.encode(), (await (await self.wire()).ask(text)).body)

    async def test_it_ends_with_the_session(self) -> None:
        text = request(b"GET", b"/", bearer(token()))
        await self.twice(text)
        await using(self.store).remove("s1")
        self.access.session_changed("s1")
        self.assertEqual((await (await self.wire()).ask(text)).status, 403)

    async def test_it_ends_with_the_mode(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        text = request(b"GET", b"/", (b"Cookie", cookie))
        await self.twice(text)
        self.modes["s1"] = "owner"
        self.assertEqual((await (await self.wire()).ask(text)).status, 403)

    async def test_where_another_page_may_have_sent_it_each_method_is_judged(self) -> None:
        cookie, _ = await self.visit(self.link_path(await self.make_link()))
        fields = ((b"Cookie", cookie), (b"Sec-Fetch-Site", b"cross-site"), (b"Sec-Fetch-Mode", b"navigate"))
        await self.twice(request(b"GET", b"/", *fields))
        answer = await (await self.wire()).ask(request(b"DELETE", b"/", *fields))
        self.assertEqual(answer.status, 403)

    async def test_their_number_is_bounded(self) -> None:
        self.authorize._remembered = 3
        for number in range(6):
            await self.seen(request(b"GET", b"/", bearer(token(jti=number))))
        self.assertEqual(len(self.authorize._known), 3)

    async def test_a_long_section_is_not_remembered(self) -> None:
        await self.twice(request(b"GET", b"/", bearer(token()), (b"Long", b"x" * 3000)))
        self.assertEqual(len(self.authorize._known), 0)


class Streams(AccessCase):
    """A stream whose authority ends is cut within 5 seconds, both ways."""

    async def open(self, *fields: tuple[bytes, bytes]) -> tuple[Wire, Wire]:
        wire = await self.wire()
        wire.send(request(b"GET", b"/events", *fields))
        peer, _ = await self.application.request()
        peer.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n"
        )
        await wire.bytes(b"one")
        return wire, peer

    async def assert_cut(self, wire: Wire, peer: Wire) -> None:
        await wire.closed()
        await peer.closed()
        self.assertFalse(wire.received.endswith(b"0\r\n\r\n"), "it does not look complete")

    async def assert_cut_at(self, end: float, wire: Wire, peer: Wire) -> None:
        """It is, within 5 seconds of that time and not before."""
        await self.clock.pass_time(end - self.clock.seconds() - 1)
        self.assertIsNone(wire.lost)
        await self.clock.pass_time(6)
        await self.assert_cut(wire, peer)

    async def test_when_the_token_expires(self) -> None:
        end = self.clock.seconds() + 60
        await self.assert_cut_at(end, *await self.open(bearer(token(exp=end))))

    async def test_when_the_link_is_revoked(self) -> None:
        made = await self.make_link()
        cookie, _ = await self.visit(self.link_path(made))
        wire, peer = await self.open((b"Cookie", cookie))
        await using(self.store).remove_link(made.id)
        self.access.link_revoked("s1", made.id)
        await self.assert_cut(wire, peer)

    async def test_when_the_link_ends(self) -> None:
        made = await self.make_link(seconds=60)
        cookie, _ = await self.visit(self.link_path(made))
        await self.assert_cut_at(made.expires_at.timestamp(), *await self.open((b"Cookie", cookie)))

    async def test_when_the_session_is_deleted(self) -> None:
        wire, peer = await self.open(bearer(token()))
        await using(self.store).remove("s1")
        self.access.session_changed("s1")
        await self.assert_cut(wire, peer)

    async def test_before_the_application_has_answered(self) -> None:
        wire = await self.wire()
        wire.send(request(b"GET", b"/", bearer(token())))
        peer, _ = await self.application.request()
        self.access.session_changed("s1")
        await self.assert_cut(wire, peer)

    async def test_the_others_go_on(self) -> None:
        wire, peer = await self.open(bearer(token()))
        self.access.link_revoked("s1", "k" * 22)
        self.access.session_changed("s2")
        await self.clock.pass_time(30)
        peer.send(b"3\r\ntwo\r\n0\r\n\r\n")
        self.assertTrue((await wire.answer()).complete)


class Coverage(SynchronousTestCase):
    """What no header field can carry, a query can, and the other way round."""

    def test_only_the_huge_attack_fits_nowhere(self) -> None:
        nowhere = [
            name
            for name, text in attacks().items()
            if (re.search(rb"[\0\n]| \Z", text) or len(text) > 60_000) and len(text) > 10_000
        ]
        self.assertEqual(nowhere, ["huge and not signed"])
