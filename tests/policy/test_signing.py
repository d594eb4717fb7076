"""Keys of one use each, and what is signed with them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.policy.signing import Purpose, Signer, derive

NEW, OLD = b"n" * 32, b"o" * 32


class Derivation(SynchronousTestCase):
    def test_each_purpose_has_a_key_of_its_own_and_none_is_the_secret(self) -> None:
        keys = {derive(NEW, purpose) for purpose in Purpose}
        self.assertEqual(len(keys), len(Purpose))
        self.assertNotIn(NEW, keys)
        self.assertEqual({len(key) for key in keys}, {32})

    def test_the_derivation_stays_what_it_is(self) -> None:
        """A change would end every link and cookie that is out."""
        self.assertEqual(
            derive(NEW, Purpose.LINK).hex(), "5f77e3d7bbe0302c4d3f0691a5cd4c16ce74ed440792fd07bf62f6d029c084b3"
        )
        self.assertEqual(
            derive(NEW, Purpose.COOKIE).hex(), "2a379aa1f7f0cc6063051011a0198e9484e75330eafdeb051734fe3d174ec608"
        )


class Signing(SynchronousTestCase):
    def test_a_signed_text_is_genuine(self) -> None:
        signer = Signer([NEW], Purpose.LINK)
        self.assertTrue(signer.genuine(signer.sign("a.b").encode()))

    def test_what_another_purpose_or_secret_signed_is_not(self) -> None:
        signed = Signer([NEW], Purpose.LINK).sign("a.b").encode()
        self.assertFalse(Signer([NEW], Purpose.COOKIE).genuine(signed))
        self.assertFalse(Signer([OLD], Purpose.LINK).genuine(signed))

    def test_an_older_secret_still_reads_and_the_newest_signs(self) -> None:
        both, old, new = (Signer(keys, Purpose.LINK) for keys in ([NEW, OLD], [OLD], [NEW]))
        self.assertTrue(both.genuine(old.sign("a").encode()))
        self.assertEqual(both.sign("a"), new.sign("a"))

    def test_without_a_secret_there_is_no_signer(self) -> None:
        with self.assertRaises(ValueError):
            Signer([], Purpose.LINK)

    def test_a_signature_that_decodes_to_the_same_bytes_is_not_the_same(self) -> None:
        signer = Signer([NEW], Purpose.LINK)
        signed = signer.sign("a.b").encode()
        alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        last = alphabet.index(signed[-1])
        malleable = signed[:-1] + alphabet[last ^ 1 : (last ^ 1) + 1]
        for wrong in (
            malleable,
            signed + b"=",
            signed + b" ",
            b" " + signed,
            signed[:-1],
            signed.replace(b"a", b"A", 1),
        ):
            with self.subTest(wrong):
                self.assertFalse(signer.genuine(wrong))

    @given(st.binary(max_size=200))
    def test_nothing_else_is_genuine(self, noise: bytes) -> None:
        self.assertFalse(Signer([NEW], Purpose.LINK).genuine(noise))
