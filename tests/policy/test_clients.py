"""F41: which client a request is from."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from sandbox.policy.clients import client_of
from sandbox.protocols.http1.headers import TrustedProxies

TRUSTED = TrustedProxies(["10.0.0.0/8", "127.0.0.1", "unix"])


def of(peer: str | None, *forwarded: str) -> str | None:
    lines = "".join(f"X-Forwarded-For: {value}\r\n" for value in forwarded)
    return client_of(f"Host: x\r\n{lines}\r\n".encode(), peer, TRUSTED)


class Clients(SynchronousTestCase):
    def test_f41_a_stranger_is_its_own_address_whatever_it_says(self) -> None:
        self.assertEqual(of("192.0.2.1", "198.51.100.7"), "192.0.2.1")
        self.assertEqual(of("::ffff:192.0.2.1"), "192.0.2.1")

    def test_f41_of_ipv6_a_client_has_a_whole_network(self) -> None:
        self.assertEqual(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::"))
        self.assertNotEqual(of("2001:db8:1:2::"), of("2001:db8:1:3::"))

    def test_f41_a_trusted_proxy_names_it_and_what_the_client_wrote_itself_does_not_count(self) -> None:
        for peer in ("10.0.0.1", "127.0.0.1", None):
            self.assertEqual(of(peer, "198.51.100.7"), "198.51.100.7")
            self.assertEqual(of(peer, "192.0.2.9, 198.51.100.7, 10.1.1.1"), "198.51.100.7")
            self.assertEqual(of(peer, "192.0.2.9", "198.51.100.7"), "198.51.100.7")

    def test_f41_those_who_cannot_be_told_apart_are_nobody(self) -> None:
        for peer in ("10.0.0.1", "127.0.0.1", "::1", None):
            self.assertIsNone(of(peer))
        self.assertIsNone(of("10.0.0.1", "10.0.0.2"))
        self.assertIsNone(client_of(b"\r\n", "127.0.0.9", TrustedProxies()))
        self.assertIsNone(client_of(b"\r\n", None, TrustedProxies()))
