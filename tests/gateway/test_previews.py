"""What a preview's address answers: redirects, errors, pages, health, what belongs to no route (contract 5 and 7)."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import SSL4ClientEndpoint, connectProtocol
from twisted.internet.ssl import CertificateOptions

from sandbox import __version__
from sandbox.domain import errors
from sandbox.domain.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    ContainerWithoutAddress,
    PreviewRefused,
    StoreUnavailable,
)
from sandbox.domain.host_verdicts import HostMode
from sandbox.gateway import pages
from sandbox.gateway.interfaces import AccessDecision, Admitted
from sandbox.gateway.resource import GatewayOptions
from sandbox.http.replies import Reply, error_reply, reply_to
from sandbox.http.request import Request
from sandbox.policy.pooling import PoolLimits
from sandbox.protocols.http1.headers import TrustedProxies
from tests.contracts.client_wire import self_signed
from tests.gateway.stage import GatewayCase, admit_all, fields_of, values
from tests.http.wire import Wire
from tests.turns import SteppedClock

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NAVIGATION = b"Accept: text/html,application/xhtml+xml\r\nSec-Fetch-Mode: navigate\r\n"


def asking(target: bytes, fields: bytes = b"", method: bytes = b"GET") -> bytes:
    return b"%b %b HTTP/1.1\r\nHost: public.example\r\n%b\r\n" % (method, target, fields)


class Addresses(GatewayCase):
    """The preview's own root, and what is near it."""

    async def test_without_its_slash_it_answers_308_and_keeps_the_query(self) -> None:
        for target, location in (
            (b"/previews/s1", b"/previews/s1/"),
            (b"/previews/s1?a=/b", b"/previews/s1/?a=/b"),
            (b"/internal-previews/proxy/s1?x", b"/internal-previews/proxy/s1/?x"),
        ):
            answer = await (await self.wire()).ask(asking(target))
            self.assertEqual((answer.status, answer.get(b"location")), (308, location))

    async def test_ids_match_whole_and_literally(self) -> None:
        """HPM CVE-2026-55602: routes picked by a substring."""
        for target in (
            b"/previews/", b"/previews//", b"/previews/s1%2f/", b"/previews/s1%20/", b"/previews/" + b"a" * 65 + b"/",
            b"/%70reviews/s1/", b"//previews/s1/", b"/previews/s1;x/", b"/Previews/s1/", b"/previews",
        ):  # fmt: skip
            answer = await (await self.wire()).ask(asking(target))
            self.assertEqual((answer.status, json.loads(answer.body)["code"]), (404, "NOT_FOUND"), target)
        for name in (b"s1x", b"xs1", b"S1", b"s"):
            answer = await (await self.wire()).ask(asking(b"/previews/%b/" % name))
            payload = json.loads(answer.body)
            self.assertEqual((answer.status, payload["code"]), (404, "PREVIEW_NOT_REGISTERED"))
            self.assertEqual(payload["message"], f"No preview port registered for session {name.decode()}")
        self.assertEqual(self.application.peers, [])


class Errors(GatewayCase):
    """The contract's table of section 5, and how it looks."""

    async def test_the_table(self) -> None:
        for error, status, message in (
            (ContainerNotFound("s1"), 500, "Failed to find container for session s1"),
            (ContainerNotRunning("s1", "exited"), 500, "Container for session s1 is not running"),
            (ContainerWithoutAddress("s1"), 500, "Container for session s1 has no IP address"),
            (PreviewRefused("s1", "host network"), 502, "Container for session s1 cannot be previewed: host network"),
            (StoreUnavailable("Cannot check access right now"), 503, "Cannot check access right now"),
        ):
            late: Deferred[None] = Deferred()
            late.errback(error)
            for found in (error, late):
                self.resolver.previews["s1"] = found
                answer = await (await self.wire()).ask(asking(b"/previews/s1/a"))
                payload = json.loads(answer.body)
                self.assertEqual((answer.status, payload["statusCode"], payload["message"]), (status, status, message))
                self.assertEqual(answer.get(b"content-type"), b"application/json; charset=utf-8")
                self.assertIn("code", payload)

    async def test_an_unforeseen_error_is_500_with_an_incident(self) -> None:
        self.resolver.previews["s1"] = RuntimeError("the inside")
        answer = await (await self.wire()).ask(asking(b"/previews/s1/"))
        payload = json.loads(answer.body)
        self.assertEqual((answer.status, payload["message"]), (500, "Internal server error"))
        self.assertIn("incident", payload)
        self.assertNotIn(b"the inside", answer.body)
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    async def test_what_is_remembered_of_one_way_is_not_taken_for_another(self) -> None:
        self.register("s2", host=HostMode.PUBLIC)
        ask = b"GET /previews/%b/a HTTP/1.1\r\nHost: public.example\r\n\r\n"
        upstream = b"localhost:%d" % self.application.number

        async def told(session_id: bytes = b"s1") -> list[bytes]:
            fields = fields_of((await self.exchange(ask % session_id, OK))[0])
            return [value for name, value in fields if name in {b"Host", b"X-Forwarded-Prefix"}]

        for _ in range(2):
            self.assertEqual(await told(), [upstream, b"/previews/s1"])
            self.assertEqual(await told(b"s2"), [b"public.example", b"/previews/s2"])
        self.register(strip_prefix=False)
        self.assertEqual(await told(), [upstream])
        # A section that is too long to be remembered is treated alike.
        ask = ask[:-2] + b"Long: %b\r\n\r\n" % (b"x" * 3000)
        self.assertEqual(await told(b"s2"), [b"public.example", b"/previews/s2"])

    async def test_a_target_that_comes_later_is_waited_for(self) -> None:
        found = self.resolver.previews["s1"]
        later = self.resolver.previews["s1"] = Deferred()
        wire = await self.wire()
        wire.send(b"POST /previews/s1/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        await self.eventually(lambda: self.site.in_progress)
        later.callback(found)
        peer, _ = await self.application.request(end=b"abc")
        peer.send(OK)
        self.assertEqual((await wire.answer()).status, 200)

    async def test_a_client_that_leaves_meanwhile_ends_the_waiting(self) -> None:
        gone: Deferred[None] = Deferred()
        self.resolver.previews["s1"] = Deferred(lambda _: gone.callback(None))
        wire = await self.wire()
        wire.send(asking(b"/previews/s1/"))
        await self.eventually(lambda: self.site.in_progress)
        wire.abort()
        await gone
        self.assertEqual(self.application.peers, [])

    async def test_a_navigation_gets_a_page_and_all_else_gets_json(self) -> None:
        for method, fields, page in (
            (b"GET", NAVIGATION, True),
            (b"HEAD", NAVIGATION, True),
            (b"GET", b"Accept: text/html\r\n", True),
            (b"GET", b"Accept: text/html\r\nSec-Fetch-Mode: cors\r\n", False),
            (b"GET", b"Accept: */*\r\n", False),
            (b"GET", b"", False),
            (b"POST", NAVIGATION, True),
            (b"POST", b"Accept: text/html\r\n", False),
            (b"POST", b"Accept: text/html\r\nSec-Fetch-Mode: cors\r\n", False),
        ):
            answer = await (await self.wire()).ask(asking(b"/previews/none/", fields, method))
            self.assertEqual(answer.status, 404)
            kind = b"text/html" if page else b"application/json"
            self.assertTrue((answer.get(b"content-type") or b"").startswith(kind), (method, fields))
            self.assertEqual(answer.get(b"cache-control"), b"no-store")

    async def test_the_page_stands_alone_and_is_readable_on_a_phone(self) -> None:
        answer = await (await self.wire()).ask(asking(b"/previews/none/", NAVIGATION))
        page = answer.body.decode()
        self.assertIn("width=device-width", page)
        self.assertIn("No preview port registered for session none", page)
        self.assertIn("<h1>Nothing is shown at this address yet</h1>", page)
        self.assertIn("register the port", page)
        self.assertIn(b"default-src 'none'", answer.get(b"content-security-policy") or b"")
        for outside in ("http://", "https://", "src=", "href=", "@import"):
            self.assertNotIn(outside, page)
        self.assertNotIn("location.reload", page)
        self.assertLess(len(page), 3000)

    def test_f28_every_error_of_previews_has_a_visitors_words_and_advice(self) -> None:
        """The headline is no message of the contract's, and names no session, container, token or gateway."""
        found = [
            errors.PreviewNotRegistered("s1"),
            errors.PreviewUnreachable(),
            errors.PreviewMisbehaved(),
            errors.PreviewTimedOut(),
            errors.PreviewRefused("s1", "it is the host's"),
            errors.ContainerNotFound("s1"),
            errors.ContainerNotRunning("s1", "exited"),
            errors.ContainerNotRunning("s1", "paused"),
            errors.ContainerWithoutAddress("s1"),
            *(errors.TokenRejected("x", code=code) for code in ("TOKEN_INVALID", *errors.TokenRejected.further)),
            errors.AccessDenied(),
            errors.CrossOriginDenied(),
            errors.Overloaded("The daemon is starting", code="STARTING"),
            errors.Overloaded("Too many connections", code="TOO_MANY_PREVIEW_CONNECTIONS"),
            errors.AccessUnavailable(),
            errors.EngineUnavailable("away"),
        ]
        seen = set()
        for error in found:
            reply = reply_to(error)
            page = pages.page(reply).decode()
            (headline,) = re.findall("<h1>(.*)</h1>", page)
            (advice,) = re.findall("<p>(.*?)</p>", page)
            (small,) = re.findall("<small>(.*)</small>", page)
            self.assertNotRegex(headline, "(?i)session|container|token|gateway|authori|server")
            self.assertGreater(len(advice), 15, error)
            self.assertIn(html.escape(error.message), small, "for who is asked for help")
            self.assertIn(error.reason_code, small)
            seen.add(headline)
        self.assertEqual(len(seen), len(found) - 2, "those that are not available share one")

    def test_f28_an_unforeseen_error_names_its_incident(self) -> None:
        page = pages.page(error_reply(500, "INTERNAL", "Internal server error", incident="abc123")).decode()
        self.assertIn("<h1>Something went wrong</h1>", page)
        self.assertIn("abc123", page)

    async def test_words_of_others_are_escaped(self) -> None:
        self.resolver.previews["s1"] = PreviewRefused("s1", "<script>alert(1)</script>")
        answer = await (await self.wire()).ask(asking(b"/previews/s1/", NAVIGATION))
        self.assertIn(b"&lt;script&gt;", answer.body)
        tags: list[str] = []
        parser = HTMLParser()
        parser.handle_starttag = lambda tag, attrs: tags.append(tag)  # type: ignore[method-assign]
        parser.feed(answer.body.decode())
        self.assertNotIn("script", tags)

    async def test_a_navigation_that_is_refused_says_that_it_starts_and_reloads(self) -> None:
        """Status 502 as in the contract, and Retry-After."""
        await self.application.port.stopListening()
        answer = await (await self.wire()).ask(asking(b"/previews/s1/", NAVIGATION))
        self.assertEqual((answer.status, answer.get(b"retry-after")), (502, b"2"))
        self.assertIn(b"The preview is starting", answer.body)
        self.assertIn(b"location.reload", answer.body)
        self.assertNotIn(b"location.hash", answer.body)  # it is the application's

    async def test_a_form_that_is_refused_gets_a_page_that_does_not_send_it_again(self) -> None:
        await self.application.port.stopListening()
        answer = await (await self.wire()).ask(asking(b"/previews/s1/", NAVIGATION, b"POST"))
        self.assertEqual(answer.status, 502)
        self.assertIn(b"The preview is starting", answer.body)
        self.assertIn(b"Try again", answer.body)
        for again in (b"location.reload", b"http-equiv", b"reloads itself"):
            self.assertNotIn(again, answer.body)


class Elsewhere(GatewayCase):
    """Requests that no route takes."""

    async def test_one_from_a_previews_page_is_sent_into_that_preview(self) -> None:
        for method in (b"GET", b"POST"):
            for referer in (b"http://public.example/previews/s1/src/main.js", b"https://PUBLIC.example/previews/s1/?a"):
                answer = await (await self.wire()).ask(
                    asking(b"/assets/a.js?v=%2F", b"Referer: %b\r\n" % referer, method)
                )
                self.assertEqual((answer.status, answer.get(b"location")), (307, b"/previews/s1/assets/a.js?v=%2F"))
                self.assertEqual((answer.get(b"cache-control"), answer.get(b"vary")), (b"no-store", b"referer"))

    async def test_one_from_elsewhere_is_404(self) -> None:
        for referer in (
            b"http://evil.example/previews/s1/", b"http://public.example/other", b"http://public.example:81/previews/s1/",
            b"http://public.example/previews/s1<script>/", b"/previews/s1/", b"",
        ):  # fmt: skip
            answer = await (await self.wire()).ask(asking(b"/a.js", b"Referer: %b\r\n" % referer))
            self.assertEqual((answer.status, answer.get(b"location")), (404, None), referer)


class NotElsewhere(GatewayCase):
    """Where that is switched off."""

    referer_fallback = False

    async def test_one_from_a_previews_page_is_404_too(self) -> None:
        referer = b"Referer: http://public.example/previews/s1/\r\n"
        self.assertEqual((await (await self.wire()).ask(asking(b"/a.js", referer))).status, 404)


class Health(GatewayCase):
    """``GET /previews/:id/health`` (contract section 7)."""

    options = GatewayOptions(health_timeout=0.4)

    async def check(self) -> tuple[int, dict[str, object]]:
        answer = await (await self.wire()).ask(asking(b"/previews/s1/health"))
        return answer.status, json.loads(answer.body)

    async def test_any_status_is_healthy(self) -> None:
        for status in (200, 302, 404, 500):
            index = len(self.application.peers)
            self.register(container=f"c{index}")  # another life: what is known of the former is not its own
            wire = await self.wire()
            wire.send(asking(b"/previews/s1/health"))
            peer, seen = await self.application.request(index)
            self.assertTrue(seen.startswith(b"GET / HTTP/1.1\r\nHost: localhost:%d\r\n" % self.application.number))
            peer.send(b"HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 %d X\r\nContent-Length: 1000000000\r\n\r\nabc" % status)
            answer = await wire.answer()
            expected = {"healthy": True, "sessionId": "s1", "port": self.application.number, "statusCode": status}
            self.assertEqual((answer.status, json.loads(answer.body)), (200, expected))
            await peer.closed()

    async def test_connection_refused(self) -> None:
        await self.application.port.stopListening()
        expected = {"healthy": False, "sessionId": "s1", "port": self.application.number, "error": "Connection refused"}
        self.assertEqual(await self.check(), (200, expected))

    async def test_no_answer_in_time(self) -> None:
        status, payload = await self.check()
        self.assertEqual((status, payload["healthy"], payload["error"]), (200, False, "Timeout"))
        await (await self.application.peer()).closed()

    async def test_no_http_and_no_answer_at_all(self) -> None:
        for response, error in ((b"SSH-2.0-x\r\n", "Invalid response"), (b"", "Connection closed")):
            index = len(self.application.peers)
            self.register(container=f"c{index}")
            wire = await self.wire()
            wire.send(asking(b"/previews/s1/health"))
            peer, _ = await self.application.request(index)
            peer.send(response)
            peer.transport.loseConnection()
            payload = json.loads((await wire.answer()).body)
            self.assertEqual((payload["healthy"], payload["error"]), (False, error))

    async def test_errors_are_those_of_the_preview(self) -> None:
        self.resolver.previews["s1"] = ContainerNotRunning("s1")
        self.assertEqual((await self.check())[0], 500)
        del self.resolver.previews["s1"]
        status, payload = await self.check()
        self.assertEqual((status, payload["code"]), (404, "PREVIEW_NOT_REGISTERED"))

    async def test_other_methods_and_the_twin_go_to_the_container(self) -> None:
        for request in (
            asking(b"/previews/s1/health", method=b"POST"),
            asking(b"/previews/s1/health", method=b"HEAD"),
            asking(b"/previews/s1/health/"),
            asking(b"/previews/s1/x/health"),
            asking(b"/internal-previews/proxy/s1/health"),
        ):
            _, answer = await self.exchange(request, OK)
            self.assertEqual(answer.status, 200)

    async def test_f3_it_takes_no_parameters(self) -> None:
        answer = await (await self.wire()).ask(asking(b"/previews/s1/health?por=1"))
        payload = json.loads(answer.body)
        self.assertEqual((answer.status, payload["message"]), (400, "Query parameter 'por' is unknown"))

    async def test_f41_many_who_ask_at_once_share_one_probe_and_so_do_those_who_ask_soon_after(self) -> None:
        wires = [await self.wire() for _ in range(20)]
        for wire in wires:
            wire.send(asking(b"/previews/s1/health"))
        peer, _ = await self.application.request()
        await self.eventually(lambda: self.site.in_progress == len(wires))
        # The one that asked first leaves; the others get their answer all the same.
        wires[0].abort()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        for wire in wires[1:]:
            self.assertTrue(json.loads((await wire.answer()).body)["healthy"])
        again = await (await self.wire()).ask(asking(b"/previews/s1/health"))
        self.assertTrue(json.loads(again.body)["healthy"])
        self.assertEqual(len(self.application.peers), 1)


class BriefHealth(GatewayCase):
    """What was found is kept for a while, and no longer."""

    clock: SteppedClock

    def setUp(self) -> None:
        self.clock = SteppedClock()
        super().setUp()

    async def test_f41_after_a_while_it_is_asked_again(self) -> None:
        for index in range(2):
            wire = await self.wire()
            wire.send(asking(b"/previews/s1/health"))
            peer, _ = await self.application.request(index)
            peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await wire.answer()
            await self.clock.pass_time(self.options.health_keep + 0.1)


class FullHealth(GatewayCase):
    """Health beside a preview that has no connection left."""

    pool_limits = PoolLimits(open=1)

    async def test_f41_a_probe_needs_no_room_among_the_previews_connections_and_takes_none(self) -> None:
        carried = await self.wire()
        carried.send(asking(b"/previews/s1/"))
        first, _ = await self.application.request()
        asked = await self.wire()
        asked.send(asking(b"/previews/s1/health"))
        probe, _ = await self.application.request(1)
        first.send(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await carried.answer()
        await first.closed()
        carried.send(asking(b"/previews/s1/"))
        third, _ = await self.application.request(2)
        third.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        self.assertEqual((await carried.answer()).status, 204)
        probe.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        self.assertTrue(json.loads((await asked.answer()).body)["healthy"])


class Root(GatewayCase):
    """F27: the daemon's own root."""

    async def test_f27_it_says_what_it_is_by_accept(self) -> None:
        for method in (b"GET", b"HEAD"):
            answer = await (await self.wire()).ask(asking(b"/", NAVIGATION, method))
            self.assertEqual((answer.status, answer.get(b"content-type")), (200, b"text/html; charset=utf-8"))
            self.assertEqual(answer.get(b"vary"), b"accept, sec-fetch-mode")
        self.assertNotIn(__version__.encode(), answer.body)
        answer = await (await self.wire()).ask(asking(b"/"))
        self.assertEqual((answer.status, json.loads(answer.body)["name"]), (200, "sandbox"))
        self.assertNotIn("version", json.loads(answer.body))

    async def test_f27_the_page_a_request_comes_from_goes_first(self) -> None:
        referer = b"Referer: http://public.example/previews/s1/x\r\n"
        answer = await (await self.wire()).ask(asking(b"/", referer))
        self.assertEqual((answer.status, answer.get(b"location")), (307, b"/previews/s1/"))

    async def test_f27_it_has_no_other_methods_and_no_parameters(self) -> None:
        answer = await (await self.wire()).ask(asking(b"/", method=b"DELETE"))
        self.assertEqual((answer.status, answer.get(b"allow")), (405, b"GET, HEAD"))
        self.assertEqual((await (await self.wire()).ask(asking(b"/?a=b"))).status, 400)


class Registered(GatewayCase):
    """What a registration may ask for."""

    async def test_strip_prefix_false_leaves_the_path_as_it_is(self) -> None:
        self.register(strip_prefix=False)
        seen, answer = await self.exchange(
            asking(b"/previews/s1/a?b"),
            b"HTTP/1.1 302 Found\r\nLocation: /previews/s1/c\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n",
        )
        self.assertTrue(seen.startswith(b"GET /previews/s1/a?b HTTP/1.1\r\n"))
        self.assertEqual(values(seen, b"X-Forwarded-Prefix"), [])
        self.assertEqual(answer.get(b"location"), b"/previews/s1/c")
        self.assertEqual(answer.get(b"set-cookie"), b"a=b; Path=/")

    async def test_f4_host_public_tells_where_browsers_find_it(self) -> None:
        self.register(host=HostMode.PUBLIC)
        seen, answer = await self.exchange(
            asking(b"/previews/s1/", b"Origin: http://public.example\r\n"),
            b"HTTP/1.1 302 Found\r\nLocation: http://public.example/a\r\nContent-Length: 0\r\n\r\n",
        )
        self.assertEqual(values(seen, b"Host"), [b"public.example"])
        self.assertEqual(values(seen, b"Origin"), [b"http://public.example"])
        self.assertEqual(answer.get(b"location"), b"http://public.example/previews/s1/a")

    async def test_f4_host_local_tells_nothing_of_where_browsers_find_it(self) -> None:
        seen, answer = await self.exchange(
            asking(b"/previews/s1/", b"Origin: http://public.example\r\n"),
            b"HTTP/1.1 302 Found\r\nLocation: http://localhost:%d/a\r\nContent-Length: 0\r\n\r\n"
            % self.application.number,
        )
        own = b"localhost:%d" % self.application.number
        self.assertEqual((values(seen, b"Host"), values(seen, b"Origin")), ([own], [b"http://" + own]))
        self.assertNotIn(b"public.example", seen)
        self.assertEqual(answer.get(b"location"), b"/previews/s1/a")


class Trusted(GatewayCase):
    """Behind a proxy of one's own."""

    options = GatewayOptions(trusted=TrustedProxies(["127.0.0.0/8"]))

    async def test_f5_its_word_is_told_in_every_field(self) -> None:
        self.register(host=HostMode.PUBLIC)
        seen, answer = await self.exchange(
            asking(
                b"/previews/s1/",
                b"X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: outer.example\r\n"
                b"Origin: https://outer.example\r\n",
            ),
            b"HTTP/1.1 302 Found\r\nLocation: https://outer.example/a\r\nContent-Length: 0\r\n\r\n",
        )
        self.assertEqual(values(seen, b"X-Forwarded-For"), [b"203.0.113.9, 127.0.0.1"])
        self.assertEqual(values(seen, b"X-Forwarded-Proto"), [b"https"])
        self.assertEqual(values(seen, b"X-Forwarded-Host"), [b"outer.example"])
        self.assertEqual(values(seen, b"X-Forwarded-Port"), [b"443"])
        self.assertEqual(values(seen, b"Host"), [b"outer.example"])
        self.assertEqual(values(seen, b"Origin"), [b"https://outer.example"])
        self.assertEqual(answer.get(b"location"), b"https://outer.example/previews/s1/a")

    async def test_f5_in_the_local_story_nothing_is_https(self) -> None:
        fields = b"X-Forwarded-Proto: https\r\nOrigin: https://public.example\r\nForwarded: proto=https\r\n"
        seen, _ = await self.exchange(asking(b"/previews/s1/", fields), OK)
        self.assertEqual(values(seen, b"Origin"), [b"http://localhost:%d" % self.application.number])
        self.assertNotIn(b"https", seen)


class Tls(GatewayCase):
    """A listener that speaks TLS itself."""

    async def test_f5_its_scheme_is_told_in_every_field(self) -> None:
        self.register(host=HostMode.PUBLIC)
        secure = reactor.listenSSL(0, self.site, self_signed(Path(self.mktemp())), interface="127.0.0.1")
        self.addCleanup(secure.stopListening)
        client = SSL4ClientEndpoint(reactor, "127.0.0.1", secure.getHost().port, CertificateOptions())
        wire = await connectProtocol(client, Wire())
        self.wires.append(wire)
        wire.send(asking(b"/previews/s1/", b"Origin: https://public.example\r\n"))
        peer, seen = await self.application.request()
        for name, value in (
            (b"Origin", b"https://public.example"),
            (b"X-Forwarded-Proto", b"https"),
            (b"X-Forwarded-Port", b"443"),
            (b"Forwarded", b"for=127.0.0.1;host=public.example;proto=https"),
        ):
            self.assertEqual(values(seen, name), [value])
        peer.send(b"HTTP/1.1 302 Found\r\nLocation: http://public.example/a\r\nContent-Length: 0\r\n\r\n")
        self.assertEqual((await wire.answer()).get(b"location"), b"https://public.example/previews/s1/a")


class Upgrading(GatewayCase):
    """Upgrades where nobody carries them, and those that are none."""

    OFFER = b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"

    async def test_without_a_carrier_a_websocket_is_501(self) -> None:
        answer = await (await self.wire()).ask(asking(b"/previews/s1/", self.OFFER))
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (501, "UPGRADE_NOT_SUPPORTED"))
        self.assertEqual(self.application.peers, [])

    async def test_any_other_upgrade_is_an_ordinary_request(self) -> None:
        """RFC 9110 section 7.8; curl --http2 sends one, with a body too."""
        offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n"
        wire = await self.wire()
        wire.send(
            asking(b"/previews/s1/", offer + b"Content-Length: 3\r\n", b"POST") + b"abc" + asking(b"/previews/s1/2")
        )
        for end in (b"abc", b"\r\n\r\n"):
            peer, seen = await self.application.request(end=end)
            self.assertEqual((values(seen, b"upgrade"), values(seen, b"connection")), ([], []))
            self.assertEqual(values(seen, b"http2-settings"), [])
            peer.send(OK)
            self.assertEqual((await wire.answer()).status, 200)


class Doors(GatewayCase):
    """Access control is asked first, now or later."""

    async def test_a_refusal_or_a_redirect_of_access_control_is_the_answer(self) -> None:
        for verdict in (
            Reply(303, None, ((b"location", b"/clean"),)),
            succeed(Reply(303, None, ((b"location", b"/clean"),))),
        ):
            self.resource._authorize = lambda request, session_id, prefix, verdict=verdict: verdict
            answer = await (await self.wire()).ask(asking(b"/previews/unregistered/"))
            self.assertEqual((answer.status, answer.get(b"location")), (303, b"/clean"))

    async def test_it_is_asked_before_a_byte_of_the_body_is_read(self) -> None:
        asked: Deferred[AccessDecision] = Deferred()
        passing: list[Admitted] = []

        def authorize(request: Request, session_id: str, prefix: bytes) -> Deferred[AccessDecision]:
            passing.append(admit_all(request, session_id, prefix))
            return asked

        self.resource._authorize = authorize
        wire = await self.wire()
        wire.send(asking(b"/previews/s1/", b"Content-Length: 6\r\nExpect: 100-continue\r\n", b"POST"))
        await self.eventually(lambda: self.site.in_progress)
        await self.pause(0.1)
        self.assertEqual((wire.received, self.application.peers), (b"", []))
        asked.callback(passing[0])
        await self.application.request()
        wire.abort()
