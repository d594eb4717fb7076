"""What a request presents, whom it may be for, and what of it reaches the container."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import unquote, urljoin, urlsplit

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import AccessDenied, TokenRejected
from sandbox.domain.model import Link
from sandbox.policy.access import (
    Mode,
    Place,
    admit_link,
    admit_user,
    bearer_token,
    cleaned,
    foreign,
    mode_of,
    presented,
    redirect_location,
    user_field,
    with_query,
    without_tokens,
)
from sandbox.protocols.http1.grammar import Field, read_section

NOW = 1_800_000_000.0


def section(*fields: Field) -> bytes:
    """The bytes of header fields."""
    return b"".join([b"%b: %b\r\n" % field for field in fields]) + b"\r\n"


class Modes(SynchronousTestCase):
    def test_a_registration_that_says_nothing_takes_what_the_environment_says(self) -> None:
        self.assertEqual((mode_of(None, False), mode_of(None, True)), (Mode.PUBLIC, Mode.LINK))

    def test_a_registration_that_says_something_wins(self) -> None:
        for enforced in (False, True):
            for mode in Mode:
                self.assertIs(mode_of(mode.value, enforced), mode)


class Presenting(SynchronousTestCase):
    def presented(self, *fields: Field, target: bytes = b"/") -> list[tuple[Place, bytes]]:
        seen = presented(section(*fields), b"sandbox-preview")
        return [(found.place, found.text) for found in with_query(seen.credentials, target)]

    def test_bearer_is_the_only_scheme_in_any_case(self) -> None:
        for value, token in (
            (b"Bearer x.y.z", b"x.y.z"),
            (b"bearer x", b"x"),
            (b"BEARER   x", b"x"),
            (b"Bearer x y", b"x y"),
            (b"Bearer", None),
            (b"Bearer ", None),
            (b"Bearerx", None),
            (b"Bearer\tx", None),
            (b"Basic eDp5", None),
            (b"Token x", None),
            (b"x.y.z", None),
            (b"", None),
        ):
            with self.subTest(value):
                self.assertEqual(bearer_token(value), token)

    def test_each_place_in_the_order_in_which_it_is_tried(self) -> None:
        self.assertEqual(
            self.presented(
                (b"cOOKIE", b"a=1; sandbox-preview=c"),
                (b"Sec-WebSocket-Protocol", b"bearer, p, vite-hmr"),
                (b"AUTHORIZATION", b"Bearer h"),
                target=b"/x?a=1&access_token=q",
            ),
            [(Place.HEADER, b"h"), (Place.QUERY, b"q"), (Place.PROTOCOL, b"p"), (Place.COOKIE, b"c")],
        )

    def test_repeated_ones_are_all_looked_at_up_to_a_limit(self) -> None:
        self.assertEqual(
            self.presented((b"Authorization", b"Bearer a"), (b"Authorization", b"Bearer b")),
            [(Place.HEADER, b"a"), (Place.HEADER, b"b")],
        )
        self.assertEqual(len(self.presented((b"Cookie", b"sandbox-preview=x;" * 1000))), 16)

    def test_the_query_parameter_by_its_exact_name(self) -> None:
        for query, tokens in (
            (b"access_token=x", [b"x"]),
            (b"a=1&access_token=x%2Ey&access_token=z", [b"x.y", b"z"]),
            (b"access_token=", []),
            (b"access_token", []),
            (b"Access_Token=x", []),
            (b"xaccess_token=x", []),
            (b"access_token[]=x", []),
            (b"a=access_token=x", []),
            (b"a=1;access_token=x", []),
        ):
            with self.subTest(query):
                found = self.presented(target=b"/p?" + query)
                self.assertEqual(found, [(Place.QUERY, token) for token in tokens])

    def test_a_path_is_not_a_query(self) -> None:
        self.assertEqual(self.presented(target=b"/access_token=x"), [])

    def test_a_script_names_its_token_behind_bearer(self) -> None:
        for value, tokens in (
            (b"bearer, x", [b"x"]),
            (b"bearer,x,graphql-ws", [b"x"]),
            (b"graphql-ws, bearer, x", [b"x"]),
            (b"bearer", []),
            (b"x, bearer", []),
            (b"graphql-ws", []),
        ):
            with self.subTest(value):
                found = self.presented((b"Sec-WebSocket-Protocol", value))
                self.assertEqual(found, [(Place.PROTOCOL, token) for token in tokens])


class Admitting(SynchronousTestCase):
    def link(self, user_id: str | None = None, session_id: str = "s1", ends: float = NOW + 1) -> Link:
        return Link(id="k", session_id=session_id, user_id=user_id, expires_at=datetime.fromtimestamp(ends, UTC))

    def test_only_the_owner_by_a_token(self) -> None:
        self.assertEqual(admit_user("alice", "alice"), "alice")
        for owner in ("bob", "Alice", "alice ", "", None, "alic", "alicé"):
            with self.subTest(owner), self.assertRaises(AccessDenied):
                admit_user("alice", owner)

    def test_whoever_holds_a_link(self) -> None:
        self.assertIsNone(admit_link(Mode.LINK, "s1", self.link(), None, NOW))
        self.assertEqual(admit_link(Mode.LINK, "s1", self.link("carol"), "alice", NOW), "carol")

    def test_where_only_the_owner_may_see_the_link_must_be_made_for_the_owner(self) -> None:
        self.assertEqual(admit_link(Mode.OWNER, "s1", self.link("alice"), "alice", NOW), "alice")
        for user_id, owner in (("carol", "alice"), (None, "alice"), (None, None), ("alice", None)):
            with self.subTest(user_id=user_id, owner=owner), self.assertRaises(AccessDenied):
                admit_link(Mode.OWNER, "s1", self.link(user_id), owner, NOW)

    def test_a_revoked_link_is_invalid(self) -> None:
        with self.assertRaises(TokenRejected) as caught:
            admit_link(Mode.LINK, "s1", None, None, NOW)
        self.assertEqual(caught.exception.message, "Invalid token")

    def test_a_link_ends_at_its_time(self) -> None:
        with self.assertRaises(TokenRejected) as caught:
            admit_link(Mode.LINK, "s1", self.link(ends=NOW), None, NOW)
        self.assertEqual(caught.exception.message, "Token has expired")

    def test_a_link_of_another_session_is_denied(self) -> None:
        with self.assertRaises(AccessDenied):
            admit_link(Mode.LINK, "s1", self.link(session_id="s2"), None, NOW)


class Foreign(SynchronousTestCase):
    """Requests that a browser sends by order of another page, for which its cookie does not count."""

    OWN = frozenset({b"https://3000-s1.preview.example"})

    def foreign(self, method: bytes = b"GET", **fields: bytes) -> bool:
        pairs = [(name.replace("_", "-").encode(), value) for name, value in fields.items()]
        return foreign(method, presented(section(*pairs), b"sandbox-preview"), self.OWN)

    def test_what_the_preview_or_a_person_asked_for_is_its_own(self) -> None:
        for site in (b"same-origin", b"none"):
            for method in (b"GET", b"POST", b"DELETE"):
                self.assertFalse(self.foreign(method, Sec_Fetch_Site=site, Sec_Fetch_Mode=b"cors"))

    def test_whoever_says_nothing_is_no_browser(self) -> None:
        for method in (b"GET", b"POST"):
            self.assertFalse(self.foreign(method))

    def test_a_navigation_from_elsewhere_may_look(self) -> None:
        for site in (b"cross-site", b"same-site"):
            for dest in (b"document", b"iframe"):
                self.assertFalse(self.foreign(Sec_Fetch_Site=site, Sec_Fetch_Mode=b"navigate", Sec_Fetch_Dest=dest))

    def test_a_navigation_from_elsewhere_may_not_change(self) -> None:
        self.assertTrue(self.foreign(b"POST", Sec_Fetch_Site=b"same-site", Sec_Fetch_Mode=b"navigate"))

    def test_nothing_else_from_elsewhere(self) -> None:
        for site in (b"cross-site", b"same-site", b"something-new"):
            for mode in (b"no-cors", b"cors", b"websocket", b"same-origin"):
                with self.subTest(site=site, mode=mode):
                    self.assertTrue(self.foreign(Sec_Fetch_Site=site, Sec_Fetch_Mode=mode))
            self.assertTrue(self.foreign(Sec_Fetch_Site=site))

    def test_an_embedded_object_is_no_navigation(self) -> None:
        for dest in (b"object", b"embed"):
            self.assertTrue(self.foreign(Sec_Fetch_Site=b"same-site", Sec_Fetch_Mode=b"navigate", Sec_Fetch_Dest=dest))

    def test_origin_decides_where_nothing_else_is_said(self) -> None:
        for origin, outcome in (
            (b"https://3000-s1.preview.example", False),
            (b"HTTPS://3000-S1.preview.example", False),
            (b"http://3000-s1.preview.example", True),
            (b"https://3000-s1.preview.example:443", False),
            (b"https://3000-s1.preview.example:8443", True),
            (b"https://3000-s2.preview.example", True),
            (b"https://evil.example", True),
            (b"https://3000-s1.preview.example.evil.example", True),
            (b"null", True),
            (b"", True),
        ):
            with self.subTest(origin):
                self.assertEqual(self.foreign(Origin=origin), outcome)

    def test_two_that_contradict_each_other_are_foreign(self) -> None:
        for one, other in (
            (b"https://3000-s1.preview.example", b"https://evil.example"),
            (b"https://evil.example", b"https://3000-s1.preview.example"),
        ):
            twice = section((b"Origin", one), (b"origin", other))
            self.assertTrue(foreign(b"GET", presented(twice, b"x"), self.OWN))


class Cleaning(SynchronousTestCase):
    """Nothing of ours reaches the container; all else does, byte for byte."""

    def cleaned(self, *fields: Field, consumed: tuple[bytes, ...] = (b"tok",)) -> list[Field]:
        return list(read_section(cleaned(section(*fields), consumed))[0])

    def test_a_request_without_anything_of_ours_stays_the_same_object(self) -> None:
        fields = [
            (b"hOST", b"x"),
            (b"Cookie", b"a=1;  b=2"),
            (b"Authorization", b"Basic x"),
            (b"X", b""),
            (b"X", b"\xff"),
        ]
        for more in ([], [(b"Long", b"x" * 2048)]):
            before = section(*fields, *more)
            for consumed in ((), (b"tok",)):
                self.assertIs(cleaned(before, consumed), before)

    def test_a_long_section_is_cleaned_as_a_short_one(self) -> None:
        long = (b"Long", b"x" * 2048)
        self.assertEqual(self.cleaned((b"Authorization", b"Bearer tok"), long), [long])

    def test_an_authorization_that_was_not_consumed_passes(self) -> None:
        fields = (
            (b"Authorization", b"Bearer theirs"),
            (b"Authorization", b"Bearer tok"),
            (b"authorization", b"Basic tok"),
        )
        self.assertEqual(self.cleaned(*fields), [fields[0], fields[2]])

    def test_our_cookies_never_pass(self) -> None:
        self.assertEqual(
            self.cleaned((b"Cookie", b"a=1; sandbox-preview=x"), (b"Cookie", b"__Host-sandbox-preview=x")),
            [(b"Cookie", b"a=1")],
        )

    def test_subprotocols_without_the_token(self) -> None:
        for value, rest in (
            (b"bearer, tok", []),
            (b"bearer,tok,vite-hmr", [b"vite-hmr"]),
            (b"vite-hmr, bearer, tok", [b"vite-hmr"]),
            (b"a, bearer, tok, b", [b"a, b"]),
            (b"bearer, theirs", [b"bearer, theirs"]),
            (b"vite-hmr", [b"vite-hmr"]),
        ):
            with self.subTest(value):
                name = b"Sec-WebSocket-Protocol"
                self.assertEqual(self.cleaned((name, value)), [(name, left) for left in rest])

    def test_a_user_id_cannot_be_more_than_one_field_value(self) -> None:
        for user in ("alice", "a+b@x.example", "a b", "José", "x\r\nX-Evil: 1", "100%", "\0", "\x7f", "%0d"):
            with self.subTest(user):
                name, value = user_field(user)
                self.assertEqual(name, b"X-Sandbox-User")
                self.assertRegex(value, rb"\A[\x21-\x7e]+\Z")
                self.assertEqual(unquote(value.decode("ascii")), user)
        self.assertEqual(user_field("a+b@x.example")[1], b"a+b@x.example")

    def test_a_target_without_our_tokens(self) -> None:
        for target, rest in (
            (b"/p/?access_token=tok", b"/p/"),
            (b"/p/?access_token=%74ok", b"/p/"),
            (b"/p/?access%5Ftoken=tok&a=1", b"/p/?a=1"),
            (b"/p/?access_token=tok&a=1", b"/p/?a=1"),
            (b"/p/?a=%20+;&&access_token=tok&=&b", b"/p/?a=%20+;&&=&b"),
            (b"/p/?access_token=tok&access_token=theirs", b"/p/?access_token=theirs"),
            (b"/p/?access_token=theirs", b"/p/?access_token=theirs"),
            (b"/p/?access_token", b"/p/?access_token"),
            (b"/access_token=tok?", b"/access_token=tok?"),
            (b"/p/?", b"/p/?"),
        ):
            with self.subTest(target):
                self.assertEqual(without_tokens(target, {b"tok"}), rest)

    @given(st.binary(max_size=60))
    def test_a_target_without_tokens_of_ours_stays_byte_for_byte(self, rest: bytes) -> None:
        target = b"/p?" + rest.replace(b"tok", b"")
        self.assertEqual(without_tokens(target, {b"tok"}), target)


class Redirecting(SynchronousTestCase):
    @given(st.text("/\\.x?#&=%@:", max_size=12))
    def test_the_browser_stays_on_the_host(self, rest: str) -> None:
        location = redirect_location(b"/" + rest.encode())
        # A browser reads a backslash as a slash (URL Standard).
        resolved = urlsplit(urljoin("http://preview.example/a/b", location.decode().replace("\\", "/")))
        self.assertEqual(resolved.netloc, "preview.example")
