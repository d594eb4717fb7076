"""JSON Web Tokens: contract section 6 and the known attacks."""

from __future__ import annotations

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import TokenRejected
from sandbox.policy.tokens import Verifier, judge
from tests.policy.jwts import SECRET, attacks, token

NOW = 1_800_000_000.0


def verdict(text: bytes, *, secrets: tuple[bytes, ...] = (SECRET,), now: float = NOW, leeway: float = 0) -> str:
    """The user id, or the message of the refusal."""
    claims = Verifier(secrets).read(text)
    if claims is None:
        return "Invalid token"
    try:
        return "user " + judge(claims, now, leeway)
    except TokenRejected as error:
        return error.message


class Accepted(SynchronousTestCase):
    def test_what_the_platforms_library_signs(self) -> None:
        signed = jwt.encode({"sub": "alice", "exp": NOW + 60}, SECRET, "HS256").encode()
        self.assertEqual(verdict(signed), "user alice")

    def test_the_user_is_sub_else_user_id(self) -> None:
        for claims, user in (
            ({"sub": "alice"}, "alice"),
            ({"userId": "bob"}, "bob"),
            ({"sub": "alice", "userId": "bob"}, "alice"),
            ({"sub": None, "userId": "bob"}, "bob"),
            ({"sub": 42}, "42"),
            ({"sub": 0}, "0"),
            ({"sub": -7}, "-7"),
            ({"userId": 2**70}, str(2**70)),
            ({"sub": "José ✓"}, "José ✓"),
        ):
            with self.subTest(claims):
                self.assertEqual(verdict(token(claims)), f"user {user}")

    def test_header_members_that_name_keys_choose_nothing(self) -> None:
        header = {"alg": "HS256", "kid": "../x", "jku": "https://evil.example", "jwk": {"kty": "oct", "k": "eHh4"}}
        self.assertEqual(verdict(token(header=header)), "user alice")

    def test_other_claims_are_the_platforms_business(self) -> None:
        self.assertEqual(verdict(token(aud="platform", iss="issuer", iat=NOW + 99, jti="x", roles=[])), "user alice")

    def test_a_token_without_an_end_is_good(self) -> None:
        self.assertEqual(verdict(token()), "user alice")

    def test_every_secret_that_is_named_is_good(self) -> None:
        new = b"new" * 11
        for signer in (new, SECRET):
            self.assertEqual(verdict(token(key=signer), secrets=(new, SECRET)), "user alice")
        self.assertEqual(verdict(token(key=SECRET), secrets=(new,)), "Invalid token")

    def test_a_token_of_the_largest_size(self) -> None:
        room = 8192 - len(token({"sub": "alice", "x": ""}))
        largest = token({"sub": "alice", "x": "x" * (room * 3 // 4)})
        self.assertLessEqual(len(largest), 8192)
        self.assertGreater(len(largest), 8180)
        self.assertEqual(verdict(largest), "user alice")


class Times(SynchronousTestCase):
    def test_exp_and_nbf_by_the_clock_that_is_passed_in(self) -> None:
        for claims, outcome in (
            ({"exp": NOW + 1}, "user alice"),
            ({"exp": NOW + 0.5}, "user alice"),
            ({"exp": NOW}, "Token has expired"),
            ({"exp": NOW - 1}, "Token has expired"),
            ({"exp": 0}, "Token has expired"),
            ({"exp": -1}, "Token has expired"),
            ({"exp": -1e300}, "Token has expired"),
            ({"exp": 1e300}, "user alice"),
            ({"nbf": NOW}, "user alice"),
            ({"nbf": -1}, "user alice"),
            ({"nbf": NOW + 1}, "Invalid token"),
            ({"nbf": NOW + 1, "exp": NOW - 1}, "Invalid token"),
        ):
            with self.subTest(claims):
                self.assertEqual(verdict(token(**claims)), outcome)

    def test_leeway_holds_for_both(self) -> None:
        for claims, outcome in (
            ({"exp": NOW - 9}, "user alice"),
            ({"exp": NOW - 10}, "Token has expired"),
            ({"nbf": NOW + 10}, "user alice"),
            ({"nbf": NOW + 11}, "Invalid token"),
        ):
            with self.subTest(claims):
                self.assertEqual(verdict(token(**claims), leeway=10), outcome)

    def test_an_expired_token_that_is_not_genuine_is_invalid(self) -> None:
        self.assertEqual(verdict(token(exp=0, key=b"x" * 32)), "Invalid token")

    def test_an_expired_token_that_names_nobody_has_expired(self) -> None:
        self.assertEqual(verdict(token({"exp": 1})), "Token has expired")


class Attacks(SynchronousTestCase):
    def test_each_is_an_invalid_token(self) -> None:
        for name, attack in attacks().items():
            with self.subTest(name):
                self.assertEqual(verdict(attack), "Invalid token")

    def test_a_public_key_is_no_secret(self) -> None:
        """RS/HS confusion (CVE-2022-29217): whoever has the public key could sign with it."""
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public = private.public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        ssh = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        for secret in (pem, ssh, b'{"kty": "oct", "k": "eHh4"}', b""):
            with self.subTest(secret[:20]), self.assertRaises(ValueError):
                Verifier([secret])

    def test_a_token_of_a_private_key_is_invalid(self) -> None:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.assertEqual(verdict(jwt.encode({"sub": "alice"}, private, "RS256").encode()), "Invalid token")

    def test_without_a_secret_no_token_is_genuine(self) -> None:
        self.assertEqual(verdict(token(key=b""), secrets=()), "Invalid token")

    @given(st.binary(max_size=400))
    def test_noise_is_invalid(self, noise: bytes) -> None:
        self.assertEqual(verdict(noise), "Invalid token")

    @given(st.binary(max_size=60), st.binary(max_size=60))
    def test_signed_noise_is_refused_or_read_and_nothing_else(self, header: bytes, payload: bytes) -> None:
        for text in (token(payload), token(header=header), token(payload, header=header)):
            self.assertIn(verdict(text)[:5], {"Inval", "Token", "user "})

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
            lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
            max_leaves=6,
        ),
        st.sampled_from(["sub", "userId", "exp", "nbf", "aud", "kid"]),
    )
    def test_a_claim_of_any_kind_is_judged(self, value: object, name: str) -> None:
        self.assertIn(verdict(token({name: value}))[:5], {"Inval", "Token", "user "})

    @given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
    def test_a_changed_byte_is_noticed(self, at: int, change: int) -> None:
        good = bytearray(token())
        good[at % len(good)] ^= change
        self.assertEqual(verdict(bytes(good)), "Invalid token")
