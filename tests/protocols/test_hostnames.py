"""Every session has one host a port, every host at most one session, and each is a name that DNS and browsers take."""

from __future__ import annotations

import re
import string

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.hostnames import MAX_DOMAIN, Addresses, PreviewHost, read_name, write_name

IDS = st.text(string.ascii_letters + string.digits + "_-", min_size=1, max_size=64)
PORTS = st.integers(1024, 65535)
LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
PLACES = Addresses("http://localhost:4002", "localhost")


class NameTests(SynchronousTestCase):
    """The codec of the name before the domain."""

    @given(PORTS, IDS)
    @example(65535, "A" * 64)
    @example(1024, "-" * 64)
    @example(65535, "n--" * 21)
    @example(65535, "xn--" * 16)
    @example(3000, "0.0".replace(".", "-"))
    def test_round_trip_and_labels_that_every_resolver_takes(self, port: int, session_id: str) -> None:
        name = write_name(port, session_id)
        self.assertEqual(read_name(name), PreviewHost(port, session_id))
        self.assertLessEqual(len(name), 253 - 1 - MAX_DOMAIN)
        for label in name.split("."):
            self.assertRegex(label, rf"^{LABEL.pattern}$")
            self.assertFalse(label.startswith("xn--"))

    @given(st.text(string.ascii_lowercase + string.digits + "-.", max_size=150) | st.text(max_size=40))
    def test_what_is_read_is_what_would_be_written(self, name: str) -> None:
        read = read_name(name)
        if read is not None:
            self.assertEqual(write_name(read.port, read.session_id), name)

    @given(PORTS, IDS, st.sampled_from(["", "0", "-", "--", "0.0", "."]), st.integers(0, 150))
    def test_a_name_with_something_put_in_is_another_session_or_none(
        self, port: int, session_id: str, extra: str, at: int
    ) -> None:
        name = write_name(port, session_id)
        changed = name[: at % len(name)] + extra + name[at % len(name) :]
        self.assertEqual(read_name(changed) == PreviewHost(port, session_id), changed == name)

    @given(IDS, IDS)
    def test_two_sessions_never_share_a_host(self, one: str, other: str) -> None:
        self.assertEqual(write_name(3000, one) == write_name(3000, other), one == other)

    def test_ports_are_canonical_and_in_range(self) -> None:
        for name in (
            "80-abc",
            "1023-abc",
            "65536-abc",
            "03000-abc",
            "+3000-abc",
            "3000.0-abc",
            "\u0663000-abc",
            "3000",
        ):
            self.assertIsNone(read_name(name), name)

    def test_one_label_holds_57_plain_characters(self) -> None:
        self.assertNotIn(".", write_name(65535, "a" * 57))
        self.assertIn(".", write_name(65535, "a" * 58))


class AddressesTests(SynchronousTestCase):
    """Hosts as requests name them, and the URLs that registration answers with."""

    @given(PORTS, IDS)
    def test_the_host_of_a_url_leads_back(self, port: int, session_id: str) -> None:
        host = PLACES.host_url(port, session_id).removeprefix("http://").removesuffix("/").encode()
        self.assertEqual(PLACES.read_host(host), PreviewHost(port, session_id))
        self.assertEqual(PLACES.read_host(host.upper()), PreviewHost(port, session_id))

    def test_hosts_of_no_preview(self) -> None:
        for host in (b"localhost", b"localhost:4002", b"127.0.0.1:4002", b"[::1]:4002", b"", b".localhost", b"\xff"):
            self.assertIsNone(PLACES.read_host(host), host)

    def test_only_the_whole_domain_counts(self) -> None:
        for host in (b"3000-abc.localhost.evil.example", b"3000-abc.xlocalhost", b"3000-abclocalhost", b"3000-abc"):
            self.assertIsNone(PLACES.read_host(host), host)
        self.assertEqual(PLACES.read_host(b"3000-abc.LocalHost.:4002"), PreviewHost(3000, "abc"))

    def test_urls_follow_the_public_url(self) -> None:
        places = Addresses("https://sandbox.example.com", "preview.example.net")
        self.assertEqual(places.path_url("a_B"), "https://sandbox.example.com/previews/a_B/")
        self.assertEqual(places.host_url(3000, "a_B"), "https://3000--a-1-b.preview.example.net/")
        self.assertEqual(Addresses("http://[::1]:80", "x").host_url(3000, "a"), "http://3000-a.x:80/")
        self.assertEqual(Addresses("http://[::1]", "x").host_url(3000, "a"), "http://3000-a.x/")
