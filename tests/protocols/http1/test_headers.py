"""Which fields pass the gateway, and which it sets (RFC 9110 section 7.6, RFC 7239)."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.http1.forwarding import source_of
from sandbox.protocols.http1.framing import CHUNKED, NO_BODY, UNTIL_CLOSE, Coding, Framing
from sandbox.protocols.http1.grammar import Fields, parse_request_head, parse_response_head, read_section
from sandbox.protocols.http1.headers import (
    ForwardingContext,
    TrustedProxies,
    forwarding_context,
    may_be_trailer,
    relayed_trailers,
    request_lines,
    response_lines,
)


def way(section: bytes, **changes: Any) -> ForwardingContext:
    given: dict[str, Any] = {
        "peer": "198.51.100.7",
        "trusted": False,
        "secure": False,
        "prefix": b"/previews/s1",
        "stripped": True,
        "local": False,
        "address": "172.17.0.2",
        "port": 3000,
    }
    given |= changes
    source = source_of(section, *(given.pop(name) for name in ("peer", "trusted", "secure")))
    return forwarding_context(source=source, **given)


def sent(fields: bytes, *, upgrade: bytes | None = None, **changes: Any) -> Fields:
    head = parse_request_head(b"GET / HTTP/1.1\r\nHost: public.example\r\n" + fields + b"\r\n")
    lines = request_lines(head.fields, head.known, way(head.section, **changes), upgrade)
    return list(read_section(lines + b"\r\n")[0])


def values(fields: Fields, name: bytes) -> list[bytes]:
    return [value for field, value in fields if field.lower() == name.lower()]


class Requests(SynchronousTestCase):
    """What the application sees."""

    def test_all_else_keeps_its_order_case_and_repetitions(self) -> None:
        fields = sent(b"accept: a\r\nX-A: 1\r\nCookie: c\r\nx-a: 2\r\nACCEPT: b\r\n")
        self.assertEqual(
            fields[:6],
            [
                (b"Host", b"public.example"),
                (b"accept", b"a"),
                (b"X-A", b"1"),
                (b"Cookie", b"c"),
                (b"x-a", b"2"),
                (b"ACCEPT", b"b"),
            ],
        )

    def test_what_belongs_to_one_connection_is_dropped(self) -> None:
        for name in (
            b"Connection: x", b"Keep-Alive: 1", b"Proxy-Connection: a", b"TE: gzip", b"Upgrade: h2c",
            b"HTTP2-Settings: a", b"Proxy-Authorization: Basic a", b"Proxy-Authenticate: a",
        ):  # fmt: skip
            field = name.partition(b":")[0]
            self.assertEqual(values(sent(name + b"\r\n"), field), [], field)

    def test_what_connection_names_is_dropped(self) -> None:
        fields = sent(b"X-A: 1\r\nConnection: close, x-a\r\nX-B: 2\r\nConnection: X-B\r\n")
        self.assertEqual((values(fields, b"x-a"), values(fields, b"x-b")), ([], []))

    def test_connection_cannot_take_away_what_we_say(self) -> None:
        """CVE-2024-45410."""
        names = [
            b"X-Forwarded-For",
            b"X-Forwarded-Host",
            b"X-Forwarded-Proto",
            b"X-Forwarded-Prefix",
            b"Forwarded",
            b"Via",
        ]
        fields = sent(b"Content-Length: 3\r\nConnection: Content-Length, Host, " + b", ".join(names) + b"\r\n")
        for name in [*names, b"Host", b"Content-Length"]:
            self.assertEqual(len(values(fields, name)), 1, name)

    def test_te_trailers_is_kept_and_announced(self) -> None:
        """RFC 9110 section 10.1.4."""
        fields = sent(b"TE: gzip;q=1, trailers\r\n")
        self.assertEqual((values(fields, b"te"), values(fields, b"connection")), ([b"trailers"], [b"TE"]))

    def test_a_clients_own_forwarding_fields_are_replaced(self) -> None:
        claims = b"".join(
            b"%b: evil\r\n" % name
            for name in (
                b"X-Forwarded-For",
                b"x-forwarded-proto",
                b"X-Forwarded-Host",
                b"X-FORWARDED-PREFIX",
                b"Forwarded",
                b"X-Real-IP",
                b"X-Forwarded-Port",
                b"X-Forwarded-Ssl",
                b"X-Scheme",
                b"Front-End-Https",
            )
        )
        fields = sent(claims)
        self.assertEqual(values(fields, b"X-Forwarded-For"), [b"198.51.100.7"])
        self.assertEqual(values(fields, b"X-Forwarded-Proto"), [b"http"])
        self.assertEqual(values(fields, b"X-Forwarded-Host"), [b"public.example"])
        self.assertEqual(values(fields, b"X-Forwarded-Port"), [b"80"])
        self.assertEqual(values(fields, b"X-Forwarded-Prefix"), [b"/previews/s1"])
        self.assertEqual(values(fields, b"Forwarded"), [b"for=198.51.100.7;host=public.example;proto=http"])
        self.assertNotIn(b"evil", b"".join(value for _, value in fields))

    def test_a_trusted_proxys_forwarding_fields_are_kept_and_added_to(self) -> None:
        fields = sent(
            b"X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 5.6.7.8\r\nX-Forwarded-Proto: https\r\n"
            b"X-Forwarded-Host: outer.example\r\nX-Forwarded-Prefix: /outer\r\nX-Forwarded-Port: 443\r\n"
            b"Forwarded: for=1.2.3.4\r\nX-Forwarded-User: bob\r\n",
            trusted=True,
        )
        self.assertEqual(values(fields, b"X-Forwarded-For"), [b"1.2.3.4, 5.6.7.8, 198.51.100.7"])
        self.assertEqual(values(fields, b"X-Forwarded-Proto"), [b"https"])
        self.assertEqual(values(fields, b"X-Forwarded-Host"), [b"outer.example"])
        self.assertEqual(values(fields, b"X-Forwarded-Prefix"), [b"/outer/previews/s1"])
        self.assertEqual(values(fields, b"X-Forwarded-Port"), [b"443"])
        self.assertEqual(values(fields, b"X-Forwarded-User"), [b"bob"])
        self.assertEqual(
            values(fields, b"Forwarded"),
            [
                b", ".join(
                    b"for=%b;host=outer.example;proto=https" % x for x in (b"1.2.3.4", b"5.6.7.8", b"198.51.100.7")
                )
            ],
        )

    def test_an_ipv6_peer_is_quoted_in_forwarded(self) -> None:
        """RFC 7239 section 6."""
        fields = sent(b"", peer="2001:db8::1")
        self.assertEqual(values(fields, b"X-Forwarded-For"), [b"2001:db8::1"])
        self.assertTrue(values(fields, b"Forwarded")[0].startswith(b'for="[2001:db8::1]";'))
        self.assertEqual(values(sent(b"", peer=None), b"X-Forwarded-For"), [b"unknown"])

    def test_underscore_aliases_of_what_means_something_are_dropped(self) -> None:
        """GHSA-5m6w-wvh7-57vm, CVE-2026-33433."""
        names = (
            b"X_Forwarded_For", b"x_forwarded-host", b"X_Internal_Service_Key", b"X_Sandbox_User", b"Content_Length",
            b"Transfer_Encoding", b"Keep_Alive", b"X_Real_IP", b"X-Forwarded-Preferred_Username",
        )  # fmt: skip
        for name in names:
            self.assertEqual(values(sent(name + b": evil\r\n"), name), [], name)
            self.assertEqual(values(sent(name + b": evil\r\n", trusted=True), name), [], name)
        self.assertEqual(values(sent(b"my_field: fine\r\n"), b"my_field"), [b"fine"])

    def test_our_own_fields_never_pass(self) -> None:
        for name in (b"X-Sandbox-User", b"X-Internal-Service-Key"):
            self.assertEqual(values(sent(name + b": evil\r\n"), name), [])

    def test_via_tells_the_version_that_came(self) -> None:
        """RFC 9110 section 7.6.3."""
        head = parse_request_head(b"GET / HTTP/1.0\r\n\r\n")
        lines = request_lines(head.fields, head.known, way(head.section), None, 0)
        self.assertTrue(lines.endswith(b"Via: 1.0 sandbox\r\n"))

    def test_trailers_that_connection_names_do_not_pass(self) -> None:
        """RFC 9110 section 7.6.1."""
        fields = [(b"X-Sum", b"7"), (b"X-Own", b"1"), (b"Set-Cookie", b"a=b")]
        self.assertEqual(relayed_trailers(fields, {b"connection": b"keep-alive, x-own"}), [(b"X-Sum", b"7")])

    def test_via_is_added_to_what_was_there(self) -> None:
        """RFC 9110 section 7.6.3."""
        self.assertEqual(values(sent(b"Via: 1.0 a\r\n"), b"Via"), [b"1.0 a", b"1.1 sandbox"])

    def test_a_foreign_origin_or_referer_is_never_rewritten(self) -> None:
        for other in (
            b"http://evil.example",
            b"null",
            b"http://public.example.evil",
            b"http://public.example:81",
            b"//public.example",
        ):
            for local in (False, True):
                fields = sent(b"Origin: %b\r\nReferer: %b/\r\n" % (other, other), local=local)
                self.assertEqual(values(fields, b"origin"), [other])
                self.assertEqual(values(fields, b"referer"), [other + b"/"])

    def test_a_referer_outside_of_the_preview_keeps_its_path(self) -> None:
        outside = sent(b"Referer: http://public.example/elsewhere\r\n", local=True)
        self.assertEqual(values(outside, b"referer"), [b"http://localhost:3000/elsewhere"])

    def test_an_upgrade_is_offered_on(self) -> None:
        fields = sent(b"Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", upgrade=b"websocket")
        self.assertEqual(values(fields, b"upgrade"), [b"websocket"])
        self.assertEqual(values(fields, b"connection"), [b"Upgrade"])


class Responses(SynchronousTestCase):
    """What the browser sees."""

    def sent(
        self, fields: bytes, framing: Framing = NO_BODY, status: int = 200, chunked: bool = True, **changes: Any
    ) -> Fields:
        head = parse_response_head(b"HTTP/1.1 %d OK\r\n%b\r\n" % (status, fields))
        rewriter = way(b"Host: public.example\r\n\r\n", **changes).rewriter
        return list(read_section(response_lines(head, framing, rewriter, chunked=chunked) + b"\r\n")[0])

    def test_every_address_of_the_application_s_own_is_rewritten(self) -> None:
        for name, value, seen in (
            (b"Location", b"/a", b"/previews/s1/a"), (b"Content-Location", b"/a", b"/previews/s1/a"),
            (b"Refresh", b"5; url=/a", b"5; url=/previews/s1/a"),
            (b"Set-Cookie", b"a=b; Path=/", b"a=b; Path=/previews/s1/"),
            (b"Service-Worker-Allowed", b"/", b"/previews/s1/"),
        ):  # fmt: skip
            self.assertEqual(values(self.sent(b"%b: %b\r\n" % (name, value)), name), [seen], name)

    def test_what_speaks_for_a_whole_origin_is_not_said_on_the_one_that_previews_share(self) -> None:
        fields = b'Clear-Site-Data: "*"\r\nAlt-Svc: h3=":443"\r\n'
        self.assertEqual(self.sent(fields), [])
        self.assertEqual(len(self.sent(fields, prefix=b"")), 2)

    def test_all_else_keeps_its_order_case_and_repetitions(self) -> None:
        fields = b"Set-Cookie: a=1\r\nETag: x\r\nset-cookie: b=2\r\nContent-Encoding: gzip\r\nSet-Cookie: a=1\r\n"
        self.assertEqual(
            self.sent(fields),
            [
                (b"Set-Cookie", b"a=1"),
                (b"ETag", b"x"),
                (b"set-cookie", b"b=2"),
                (b"Content-Encoding", b"gzip"),
                (b"Set-Cookie", b"a=1"),
            ],
        )

    def test_what_belongs_to_one_connection_is_dropped(self) -> None:
        fields = b"Connection: X-A, keep-alive\r\nX-A: 1\r\nKeep-Alive: 5\r\nUpgrade: h2\r\nProxy-Authenticate: a\r\n"
        self.assertEqual(self.sent(fields + b"Transfer-Encoding: chunked\r\n", CHUNKED), [])

    def test_content_length_is_kept_where_it_is_true(self) -> None:
        field = b"Content-Length: 5\r\n"
        self.assertEqual(self.sent(field, Framing(Coding.LENGTH, 5)), [(b"Content-Length", b"5")])
        self.assertEqual(self.sent(field, NO_BODY, 304), [(b"Content-Length", b"5")])
        self.assertEqual(self.sent(field, NO_BODY, 204), [])
        self.assertEqual(self.sent(field, UNTIL_CLOSE), [])

    def test_trailer_is_kept_where_trailers_are(self) -> None:
        self.assertEqual(self.sent(b"Trailer: A\r\n", CHUNKED), [(b"Trailer", b"A")])
        self.assertEqual(self.sent(b"Trailer: A\r\n", CHUNKED, chunked=False), [])

    def test_nothing_about_cors_is_added_or_removed(self) -> None:
        self.assertEqual(self.sent(b""), [])
        field = (b"Access-Control-Allow-Origin", b"http://localhost:3000")
        self.assertEqual(self.sent(b"%b: %b\r\n" % field), [field])

    def test_trailers_that_frame_route_or_authenticate_are_none(self) -> None:
        """RFC 9110 section 6.5.1."""
        for name in (
            b"Content-Length",
            b"transfer_encoding",
            b"Host",
            b"Set-Cookie",
            b"X-Forwarded-For",
            b"Authorization",
        ):
            self.assertFalse(may_be_trailer(name))
        self.assertTrue(may_be_trailer(b"Server-Timing"))


class Trust(SynchronousTestCase):
    """``TRUSTED_PROXIES``."""

    def test_addresses_networks_and_mapped_addresses(self) -> None:
        trusted = TrustedProxies(["10.0.0.0/8", "2001:db8::1", "unix"])
        for peer, answer in (
            ("10.1.2.3", True),
            ("::ffff:10.1.2.3", True),
            ("11.1.2.3", False),
            ("2001:db8::1", True),
            ("2001:db8::2", False),
            (None, True),
            ("nonsense", False),
        ):
            self.assertEqual(trusted.trusts(peer), answer, peer)
        self.assertFalse(TrustedProxies().trusts(None))
        self.assertFalse(TrustedProxies().trusts("127.0.0.1"))

    def test_a_word_that_is_no_address_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            TrustedProxies(["localhost"])
