"""Link tokens and session cookies: one session, one purpose, and nothing else is taken for them."""

from __future__ import annotations

import base64
import hmac

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.policy.cookies import (
    Scope,
    SessionCookie,
    find_cookies,
    read_cookie,
    set_cookie,
    without_ours,
    write_cookie,
)
from sandbox.policy.links import LinkToken, read_link, write_link
from sandbox.policy.signing import Purpose, Signer
from sandbox.policy.tokens import Verifier
from tests.policy.jwts import SECRET, token

LINKS = Signer([SECRET], Purpose.LINK)
COOKIES = Signer([SECRET], Purpose.COOKIE)
LINK = LinkToken("abc", "k" * 22, 1_800_000_000)
BY_LINK = SessionCookie(session_id="abc", link_id="k" * 22, expires=1_800_000_000, ends=1_800_001_000)
BY_USER = SessionCookie(session_id="abc", user_id="José ✓ + 'x'", expires=1_800_000_000, ends=1_800_001_000)
PATH, HOST = Scope("/previews/abc", secure=False), Scope("/", secure=True)

_IDS = st.from_regex(r"[A-Za-z0-9_-]{1,64}", fullmatch=True)
_TIMES = st.integers(1, 10**12 - 1)


class LinkTokens(SynchronousTestCase):
    @given(_IDS, st.from_regex(r"[A-Za-z0-9_-]{22}", fullmatch=True), _TIMES)
    def test_it_reads_what_it_writes(self, session_id: str, link_id: str, expires: int) -> None:
        link = LinkToken(session_id, link_id, expires)
        text = write_link(LINKS, link)
        self.assertEqual(read_link(LINKS, text.encode()), link)
        self.assertRegex(text, r"^[A-Za-z0-9._-]+$", "it goes into a URL as it is")

    @given(st.integers(0), st.integers(1, 255))
    def test_a_changed_byte_is_noticed(self, at: int, change: int) -> None:
        text = bytearray(write_link(LINKS, LINK).encode())
        text[at % len(text)] ^= change
        self.assertIsNone(read_link(LINKS, bytes(text)))

    @given(st.binary(max_size=200))
    def test_noise_is_none(self, noise: bytes) -> None:
        self.assertIsNone(read_link(LINKS, noise))
        self.assertIsNone(read_link(LINKS, b"link." + noise))


class Cookies(SynchronousTestCase):
    @given(_IDS, st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250), _TIMES, _TIMES)
    def test_it_reads_what_it_writes(self, session_id: str, user_id: str, expires: int, ends: int) -> None:
        by_user = SessionCookie(session_id=session_id, user_id=user_id, expires=expires, ends=ends)
        by_link = attrs.evolve(by_user, user_id=None, link_id="k" * 22)
        for cookie in (by_user, by_link):
            text = write_cookie(COOKIES, cookie)
            self.assertEqual(read_cookie(COOKIES, text.encode()), cookie)
            self.assertRegex(text, r"^[A-Za-z0-9._-]+$", "RFC 6265 section 4.1.1: cookie-octets only")

    def test_the_longest_user_id_fits(self) -> None:
        longest = attrs.evolve(BY_USER, user_id="x" * 1024)
        self.assertEqual(read_cookie(COOKIES, write_cookie(COOKIES, longest).encode()), longest)

    @given(st.integers(0), st.integers(1, 255))
    def test_a_changed_byte_is_noticed(self, at: int, change: int) -> None:
        text = bytearray(write_cookie(COOKIES, BY_USER).encode())
        text[at % len(text)] ^= change
        self.assertIsNone(read_cookie(COOKIES, bytes(text)))

    def test_set_cookie_of_the_path_form(self) -> None:
        self.assertEqual(
            set_cookie(PATH, "value", 900),
            b"sandbox-preview=value; Path=/previews/abc; Max-Age=900; HttpOnly; SameSite=Lax",
        )
        self.assertEqual(
            set_cookie(Scope("/previews/abc", secure=True), "value", 900),
            b"sandbox-preview=value; Path=/previews/abc; Max-Age=900; HttpOnly; SameSite=Lax; Secure",
        )

    def test_set_cookie_of_the_host_form(self) -> None:
        self.assertEqual(
            set_cookie(HOST, "value", 900),
            b"__Host-sandbox-preview=value; Path=/; Max-Age=900; HttpOnly; SameSite=Lax; Secure",
        )
        self.assertEqual(
            set_cookie(Scope("/", secure=False), "value", 900),
            b"sandbox-preview=value; Path=/; Max-Age=900; HttpOnly; SameSite=Lax",
        )

    def test_every_cookie_of_the_name_is_found_and_no_other(self) -> None:
        field = b"a=1; sandbox-preview=x; Sandbox-Preview=no; xsandbox-preview=no; sandbox-preview=a=b ;sandbox-preview"
        self.assertEqual(list(find_cookies(field, PATH.name)), [b"x", b"a=b"])
        self.assertEqual(list(find_cookies(b"sandbox-preview=x; __Host-sandbox-preview=y", HOST.name)), [b"y"])

    def test_ours_are_taken_out_under_either_name_and_the_others_stay_as_they_are(self) -> None:
        for field, rest in (
            (b"sandbox-preview=x", b""),
            (b"__Host-sandbox-preview=x; sandbox-preview=y", b""),
            (b"a=1; sandbox-preview=x; b=2", b"a=1; b=2"),
            (b"sandbox-preview=x; a=1;b = 2 ;; c", b"a=1;b = 2 ;; c"),
            (b"sandbox-preview =x; a=1", b"a=1"),
            (b"sandbox-preview; a=1", b"a=1"),
            (b"a=sandbox-preview; b=2", b"a=sandbox-preview; b=2"),
            (b"sandbox-previews=1; Sandbox-Preview=2", b"sandbox-previews=1; Sandbox-Preview=2"),
            (b"a=\xff; b", b"a=\xff; b"),
            (b"", b""),
        ):
            with self.subTest(field):
                self.assertEqual(without_ours(field), rest)


class Confusion(SynchronousTestCase):
    """One kind of token is never accepted as another."""

    def test_each_reader_takes_its_own_kind_only(self) -> None:
        kinds = {
            "jwt": token(),
            "link": write_link(LINKS, LINK).encode(),
            "cookie by link": write_cookie(COOKIES, BY_LINK).encode(),
            "cookie by user": write_cookie(COOKIES, BY_USER).encode(),
        }
        readers = {
            "jwt": Verifier([SECRET]).read,
            "link": lambda text: read_link(LINKS, text),
            "cookie": lambda text: read_cookie(COOKIES, text),
        }
        for kind, text in kinds.items():
            for name, read in readers.items():
                with self.subTest(kind=kind, reader=name):
                    self.assertEqual(read(text) is not None, kind.split()[0] == name)

    def test_the_form_of_one_signed_with_the_key_of_another_is_none(self) -> None:
        self.assertIsNone(read_link(LINKS, write_link(COOKIES, LINK).encode()))
        self.assertIsNone(read_cookie(COOKIES, write_cookie(LINKS, BY_LINK).encode()))

    def test_what_is_signed_with_the_secret_itself_is_none(self) -> None:
        for text, read in (
            (b"link.abc." + b"k" * 22 + b".1800000000", lambda text: read_link(LINKS, text)),
            (b"cookie.abc.link." + b"k" * 22 + b".1800000000.1800000000", lambda text: read_cookie(COOKIES, text)),
        ):
            signature = base64.urlsafe_b64encode(hmac.digest(SECRET, text, "sha256")).rstrip(b"=")
            self.assertIsNone(read(text + b"." + signature))
