"""Under a path prefix things still work (contract section 5)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.http1.rewriting import Rewriter


def rewriter(stripped: bool = True, prefix: bytes = b"/previews/s1") -> Rewriter:
    return Rewriter(
        prefix=prefix, stripped=stripped, public=b"x.org:4002", upstream=b"localhost:3000", address=b"172.17.0.2:3000"
    )


class Rewriting(SynchronousTestCase):
    """What the application says of its own addresses."""

    def assert_location(self, value: bytes, expected: bytes, **options: bool) -> None:
        for name in (b"location", b"content-location"):
            self.assertEqual(rewriter(**options).response_field(name, value), expected)

    def test_the_target_loses_the_prefix_and_not_a_byte_else(self) -> None:
        for rest in (b"/", b"/%2e%2E/;a//b/../c?", b"/?", b"//", b"/" + b"x" * 8192):
            self.assertEqual(rewriter().target(b"/previews/s1" + rest), rest)
            self.assertEqual(rewriter(stripped=False).target(b"/previews/s1" + rest), b"/previews/s1" + rest)

    def test_root_relative_locations_get_the_prefix(self) -> None:
        self.assert_location(b"/login?a#b", b"/previews/s1/login?a#b")
        self.assert_location(b"/", b"/previews/s1/")
        self.assert_location(b"/previews/s12/", b"/previews/s1/previews/s12/")

    def test_dot_segments_do_not_lead_out_of_the_prefix(self) -> None:
        for value, expected in (
            (b"/../x", b"/x"),
            (b"/a/../../x?q=/../#/..", b"/x?q=/../#/.."),
            (b"/%2E./.%2e/s2/", b"/s2/"),
            (b"/..\\s2/", b"/s2/"),
            (b"/a//../b/.", b"/a/b/"),
            (b"/a/..", b"/"),
            (b"/a/.../b..", b"/a/.../b.."),
            (b"/..?q", b"/?q"),
        ):
            self.assert_location(value, b"/previews/s1" + expected)
            self.assert_location(b"http://localhost:3000" + value, b"/previews/s1" + expected)
            self.assert_location(value, value, stripped=False)
            self.assertEqual(rewriter(prefix=b"").location(value), value)
        self.assert_location(b"/x/../previews/s1/a", b"/previews/s1/a")

    def test_locations_that_are_absolute_to_the_upstream_become_the_previews(self) -> None:
        for authority in (b"localhost:3000", b"LOCALHOST:3000", b"172.17.0.2:3000"):
            self.assert_location(b"http://%b/a?b" % authority, b"/previews/s1/a?b")
            self.assert_location(b"https://%b/" % authority, b"/previews/s1/")
            self.assert_location(b"//%b/a" % authority, b"/previews/s1/a")
            self.assert_location(b"http://%b" % authority, b"/previews/s1/")
            self.assert_location(b"http://%b?q" % authority, b"/previews/s1/?q")

    def test_locations_by_the_public_name_get_the_prefix_once(self) -> None:
        self.assert_location(b"http://x.org:4002/a", b"http://x.org:4002/previews/s1/a")
        self.assert_location(b"http://x.org:4002/previews/s1/a", b"http://x.org:4002/previews/s1/a")
        self.assert_location(b"/previews/s1/a", b"/previews/s1/a")
        self.assert_location(b"/previews/s1", b"/previews/s1")

    def test_all_other_locations_are_left_alone(self) -> None:
        for value in (
            b"http://elsewhere.org/a", b"//elsewhere.org/", b"a/b", b"../a", b"?q", b"#f", b"", b"mailto:a@b",
            b"http://localhost:3001/", b"http://localhost:3000.evil/",
        ):  # fmt: skip
            self.assert_location(value, value)

    def test_an_application_that_knows_its_base_path_is_left_alone(self) -> None:
        self.assert_location(b"/previews/s1/a", b"/previews/s1/a", stripped=False)
        self.assert_location(b"/a", b"/a", stripped=False)
        self.assert_location(b"http://localhost:3000/previews/s1/a", b"/previews/s1/a", stripped=False)

    def test_a_worker_reaches_no_further_than_its_preview(self) -> None:
        """Attack 28; the URL Standard says what browsers take for a dot segment, and what they drop."""
        for value, scope in (
            (b"/", b""), (b"/app/", b"app/"), (b"http://localhost:3000/app/", b"app/"), (b"/previews/s1/a", b"a"),
            (b"../", b""), (b"./../..", b""), (b"/../", b""), (b"/../s2/", b"s2/"), (b"/a/%2E%2e/%2e./x", b"x"),
            (b"/..\\..", b""), (b"/.\t./s2/", b""), (b"http://elsewhere.org/", b""), (b"", b""),
        ):  # fmt: skip
            self.assertEqual(rewriter().response_field(b"service-worker-allowed", value), b"/previews/s1/" + scope)
        knowing = rewriter(stripped=False)
        for value in (b"/", b"/previews/", b"/previews/s1", b"/previews/s10/"):
            self.assertEqual(knowing.response_field(b"service-worker-allowed", value), b"/previews/s1/")
        own = rewriter(prefix=b"")
        self.assertEqual(own.response_field(b"service-worker-allowed", b"/"), b"/")

    def test_a_preview_with_a_host_of_its_own_has_no_prefix(self) -> None:
        own = rewriter(prefix=b"")
        self.assertEqual(own.location(b"/a"), b"/a")
        self.assertEqual(own.location(b"http://localhost:3000/a"), b"/a")
        self.assertEqual(own.response_field(b"set-cookie", b"a=b; Path=/c; Domain=x"), b"a=b; Path=/c")

    def test_cookies_get_the_prefix_and_lose_the_domain(self) -> None:
        for value, expected in (
            (b"a=b; Path=/; HttpOnly", b"a=b; Path=/previews/s1/; HttpOnly"),
            (b"a=b;path=/api;Secure", b"a=b;path=/previews/s1/api;Secure"),
            (b"a=b; Domain=localhost; Max-Age=1", b"a=b; Max-Age=1"),
            (b"a=b; DOMAIN=x; path = /y ", b"a=b; path =/previews/s1/y"),
            (b"a=/; domain; Path=rel", b"a=/; Path=rel"),
            (b"a=b; Path=/previews/s1/x", b"a=b; Path=/previews/s1/x"),
            (b"path=/x", b"path=/x"),
            (b"a=b", b"a=b"),
        ):
            self.assertEqual(rewriter().response_field(b"set-cookie", value), expected)
        self.assertEqual(rewriter(stripped=False).response_field(b"set-cookie", b"a=b; Path=/"), b"a=b; Path=/")

    def test_refresh_is_rewritten_like_a_location(self) -> None:
        for value, expected in (
            (b"5; url=/a", b"5; url=/previews/s1/a"),
            (b"0;URL='http://localhost:3000/a'", b"0;URL='/previews/s1/a'"),
            (b"5", b"5"),
            (b"5; url=http://elsewhere.org/", b"5; url=http://elsewhere.org/"),
            (b"nonsense", b"nonsense"),
        ):
            self.assertEqual(rewriter().response_field(b"refresh", value), expected)

    @given(st.binary(max_size=60))
    def test_no_value_makes_it_fail_or_twice_prefixed(self, value: bytes) -> None:
        for name in (b"location", b"refresh", b"set-cookie"):
            once = rewriter().response_field(name, value)
            self.assertEqual(rewriter().response_field(name, once), once)
        rewriter().request_field(b"referer", value)
