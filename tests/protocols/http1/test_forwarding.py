"""Where an application is told that it is: one story in all fields that are sent together (contract section 5)."""

from __future__ import annotations

import doctest
from itertools import product
from typing import Any, NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.policy import host_rule
from sandbox.protocols import hostnames
from sandbox.protocols.http1 import forwarding, origins, rewriting
from sandbox.protocols.http1.forwarding import read_forwarded, source_of
from sandbox.protocols.http1.grammar import Fields, read_section
from sandbox.protocols.http1.headers import forwarding_context, request_lines
from sandbox.protocols.http1.rewriting import Rewriter

PREFIX = b"/previews/s1"
LOCAL = b"localhost:3000"
PEER = b"198.51.100.7"


class Sent(NamedTuple):
    """What an application gets of a request, and what makes its answers the browser's."""

    fields: Fields
    rewriter: Rewriter

    def all(self, name: bytes) -> list[bytes]:
        """The values of a field."""
        return [value for field, value in self.fields if field.lower() == name]

    def one(self, name: bytes) -> bytes | None:
        """The value of a field that comes at most once."""
        values = self.all(name)
        assert len(values) <= 1, (name, values)
        return values[0] if values else None


def carried(
    section: bytes,
    *,
    trusted: bool = False,
    secure: bool = False,
    local: bool = False,
    prefix: bytes = b"",
    stripped: bool = True,
    upgrade: bytes | None = None,
) -> Sent:
    fields, known = read_section(section)
    source = source_of(section, PEER.decode(), trusted, secure)
    way = forwarding_context(
        source=source, prefix=prefix, stripped=stripped, local=local, address="172.17.0.2", port=3000
    )
    return Sent(list(read_section(request_lines(fields, known, way, upgrade) + b"\r\n")[0]), way.rewriter)


def section_of(*fields: tuple[bytes, bytes]) -> bytes:
    return b"".join(b"%b: %b\r\n" % field for field in fields) + b"\r\n"


class Arrival(NamedTuple):
    """How a request comes to the daemon.

    :ivar fields: what the proxy in front says; ``%b`` stands for the browser's authority.
    :ivar scheme: what the application must be told in the public story.
    """

    fields: tuple[tuple[bytes, bytes], ...]
    trusted: bool
    secure: bool
    scheme: bytes


PLAIN = Arrival((), False, False, b"http")
TLS = Arrival((), False, True, b"https")
ARRIVALS = {
    "plain": PLAIN,
    "TLS of its own": TLS,
    "plain, forged fields": Arrival(
        ((b"X-Forwarded-Proto", b"https"), (b"Forwarded", b"proto=https;host=evil.example")), False, False, b"http"
    ),
    "trusted proxy, X-Forwarded": Arrival(
        ((b"X-Forwarded-For", b"203.0.113.9"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Host", b"%b")),
        True,
        False,
        b"https",
    ),
    "trusted proxy, scheme alone": Arrival(((b"X-Forwarded-Proto", b"https"),), True, False, b"https"),
    "trusted proxy, Forwarded": Arrival(
        ((b"Forwarded", b'for=203.0.113.9;proto=https;host="%b"'),), True, False, b"https"
    ),
    "trusted proxy, both, which differ": Arrival(
        (
            (b"X-Forwarded-For", b"203.0.113.9"),
            (b"X-Forwarded-Proto", b"https"),
            (b"X-Forwarded-Host", b"%b"),
            (b"Forwarded", b"for=192.0.2.1;proto=http;host=other.example"),
        ),
        True,
        False,
        b"https",
    ),
    "trusted proxy, nothing said": Arrival((), True, False, b"http"),
    "trusted proxy over TLS, plain outside": Arrival(((b"X-Forwarded-Proto", b"http"),), True, True, b"http"),
    "trusted proxy, socket's scheme": Arrival(((b"X-Forwarded-Proto", b"wss"),), True, False, b"https"),
}
#: Form, prefix, and the browser's authority on a laptop and elsewhere.
PLACES = {
    "host, localhost": (b"", b"3000-s1.localhost:4002"),
    "host, domain": (b"", b"3000-s1.preview.example.com"),
    "path, localhost": (PREFIX, b"localhost:4002"),
    "path, domain": (PREFIX, b"sandbox.example.com"),
}


class OneStory(SynchronousTestCase):
    """F4, F5, F6: every way to come, every form, every kind of name."""

    def arrive(self, arrival: Arrival, place: tuple[bytes, bytes], **options: Any) -> tuple[Sent, bytes]:
        prefix, authority = place
        said = [(name, value.replace(b"%b", authority)) for name, value in arrival.fields]
        origin = arrival.scheme + b"://" + authority
        section = section_of(
            (b"Host", authority), (b"Origin", origin), (b"Referer", origin + prefix + b"/page?q"), *said
        )
        options = {"trusted": arrival.trusted, "secure": arrival.secure, "prefix": prefix, **options}
        return carried(section, **options), origin

    def test_f4_f5_all_is_public(self) -> None:
        for (way, arrival), (where, place), upgrade in product(ARRIVALS.items(), PLACES.items(), (None, b"websocket")):
            with self.subTest(way, place=where):
                sent, origin = self.arrive(arrival, place, upgrade=upgrade)
                prefix, authority = place
                port = authority.partition(b":")[2] or {b"http": b"80", b"https": b"443"}[arrival.scheme]
                self.assertEqual(sent.one(b"host"), authority)
                self.assertEqual(sent.one(b"origin"), origin)
                self.assertEqual(sent.one(b"referer"), origin + prefix + b"/page?q")
                self.assertEqual(sent.one(b"x-forwarded-host"), authority)
                self.assertEqual(sent.one(b"x-forwarded-proto"), arrival.scheme)
                self.assertEqual(sent.one(b"x-forwarded-port"), port)
                self.assertEqual(sent.one(b"x-forwarded-prefix"), prefix or None)
                for element in read_forwarded(sent.one(b"forwarded") or b""):
                    self.assertEqual((element[b"host"], element[b"proto"]), (authority, arrival.scheme))

    def test_f4_f5_all_is_local(self) -> None:
        for (way, arrival), (where, place), upgrade in product(ARRIVALS.items(), PLACES.items(), (None, b"websocket")):
            with self.subTest(way, place=where):
                sent, _ = self.arrive(arrival, place, local=True, upgrade=upgrade)
                self.assertEqual(sent.one(b"host"), LOCAL)
                self.assertEqual(sent.one(b"origin"), b"http://" + LOCAL)
                self.assertEqual(sent.one(b"referer"), b"http://" + LOCAL + b"/page?q")
                told = {name.lower() for name, _ in sent.fields if name.lower().startswith(b"x-forwarded-")}
                self.assertLessEqual(told, {b"x-forwarded-for", b"x-forwarded-prefix"})
                self.assertEqual(sent.one(b"x-forwarded-prefix"), place[0] or None)
                for element in read_forwarded(sent.one(b"forwarded") or b""):
                    self.assertEqual(set(element), {b"for"})
                everything = b"".join(value for _, value in sent.fields)
                for word in (place[1], b"https", b"example"):
                    self.assertNotIn(word, everything)

    def test_f6_both_fields_name_the_same_clients(self) -> None:
        for arrival, clients in (
            ("plain", [PEER]),
            ("plain, forged fields", [PEER]),
            ("trusted proxy, X-Forwarded", [b"203.0.113.9", PEER]),
            ("trusted proxy, Forwarded", [b"203.0.113.9", PEER]),
            ("trusted proxy, both, which differ", [b"203.0.113.9", PEER]),
            ("trusted proxy, nothing said", [PEER]),
        ):
            for local in (False, True):
                sent, _ = self.arrive(ARRIVALS[arrival], PLACES["host, domain"], local=local)
                self.assertEqual((sent.one(b"x-forwarded-for") or b"").split(b", "), clients)
                elements = read_forwarded(sent.one(b"forwarded") or b"")
                self.assertEqual([element[b"for"] for element in elements], clients)

    def test_f5_behind_tls_that_is_not_told_of_the_own_origin_agrees(self) -> None:
        """A TLS proxy that is not in ``TRUSTED_PROXIES``: the browser's origin is told by the scheme of all else."""
        for local, told in ((False, b"http://sandbox.example.com"), (True, b"http://" + LOCAL)):
            section = section_of((b"Host", b"sandbox.example.com"), (b"Origin", b"https://sandbox.example.com"))
            self.assertEqual(carried(section, local=local, prefix=PREFIX).one(b"origin"), told)

    def test_where_the_scheme_is_known_an_origin_of_the_other_is_foreign(self) -> None:
        foreign = b"http://sandbox.example.com"
        section = section_of((b"Host", b"sandbox.example.com"), (b"Origin", foreign), (b"X-Forwarded-Proto", b"https"))
        for options in ({"trusted": True}, {"secure": True}):
            for local in (False, True):
                self.assertEqual(carried(section, local=local, **options).one(b"origin"), foreign)

    def test_without_a_host_the_story_is_local(self) -> None:
        sent = carried(b"\r\n")
        self.assertEqual((sent.one(b"host"), sent.one(b"x-forwarded-host")), (LOCAL, None))
        self.assertEqual((sent.one(b"forwarded"), sent.rewriter.local), (b"for=" + PEER, True))

    def test_a_default_port_is_told_by_its_field_alone(self) -> None:
        section = section_of((b"Host", b"A.example:443"), (b"X-Forwarded-Proto", b"https"))
        sent = carried(section, trusted=True)
        self.assertEqual((sent.one(b"host"), sent.one(b"x-forwarded-port")), (b"A.example", b"443"))

    def test_a_trusted_proxys_port_completes_the_host(self) -> None:
        for said, host, port in ((b"8443", b"a.example:8443", b"8443"), (b"80", b"a.example", b"443")):
            section = section_of((b"Host", b"a.example"), (b"X-Forwarded-Proto", b"https"), (b"X-Forwarded-Port", said))
            sent = carried(section, trusted=True)
            self.assertEqual([sent.one(name) for name in (b"host", b"x-forwarded-host", b"x-forwarded-port")],
                             [host, host, port])  # fmt: skip

    def test_other_names_for_host_and_scheme_never_pass(self) -> None:
        """What they say of a trusted proxy is read, where it says nothing else."""
        for name in sorted(forwarding.ALIASES):
            section = section_of((b"Host", b"a.example"), (name, b"https"), (name.replace(b"-", b"_"), b"https"))
            for trusted, local in product((False, True), repeat=2):
                sent = carried(section, trusted=trusted, local=local)
                self.assertEqual((sent.all(name), sent.all(name.replace(b"-", b"_"))), ([], []))
        for name, value in ((b"X-Forwarded-Ssl", b"on"), (b"X-Forwarded-Scheme", b"https")):
            sent = carried(section_of((b"Host", b"a.example"), (name, value)), trusted=True)
            self.assertEqual(sent.one(b"x-forwarded-proto"), b"https")

    def test_what_a_trusted_proxy_says_of_no_host_passes_in_the_public_story_alone(self) -> None:
        section = section_of((b"Host", b"a"), (b"X-Forwarded-User", b"bob"), (b"X-Real-IP", b"203.0.113.9"))
        for local, user in ((False, b"bob"), (True, None)):
            sent = carried(section, trusted=True, local=local)
            self.assertEqual((sent.one(b"x-forwarded-user"), sent.one(b"x-real-ip")), (user, b"203.0.113.9"))
            self.assertEqual(sent.one(b"x-forwarded-for"), b"203.0.113.9, " + PEER)
        self.assertIsNone(carried(section).one(b"x-real-ip"))

    def test_what_no_address_is_names_nobody(self) -> None:
        section = section_of((b"Host", b"a"), (b"X-Forwarded-For", b'x;host="evil", ::1, [::2]:80, _hidden'))
        sent = carried(section, trusted=True)
        self.assertEqual(sent.one(b"x-forwarded-for"), b"unknown, ::1, [::2]:80, _hidden, " + PEER)
        said = [element[b"for"] for element in read_forwarded(sent.one(b"forwarded") or b"")]
        self.assertEqual(said, [b"unknown", b"[::1]", b"[::2]:80", b"_hidden", PEER])

    def test_a_host_that_is_none_is_not_believed(self) -> None:
        for name, value in ((b"X-Forwarded-Host", b'a"b'), (b"X-Forwarded-Host", b""), (b"Forwarded", b'host="a b"')):
            sent = carried(section_of((b"Host", b"a.example"), (name, value)), trusted=True)
            self.assertEqual(sent.one(b"x-forwarded-host"), b"a.example")


class Answers(SynchronousTestCase):
    """What an application says of its own addresses follows from what it was told."""

    def location(self, value: bytes, *, scheme: bytes = b"http", prefix: bytes = PREFIX, local: bool = False) -> bytes:
        section = section_of((b"Host", b"a.example"), (b"X-Forwarded-Proto", scheme))
        return carried(section, trusted=True, prefix=prefix, local=local).rewriter.location(value)

    def test_by_the_public_name_it_means_itself_where_it_was_told_it(self) -> None:
        self.assertEqual(self.location(b"http://a.example/x"), b"http://a.example/previews/s1/x")
        self.assertEqual(self.location(b"http://a.example/x", local=True), b"http://a.example/x")
        self.assertEqual(self.location(b"http://a.example/x", prefix=b""), b"http://a.example/x")

    def test_by_its_local_name_it_means_itself_in_any_case(self) -> None:
        for local in (False, True):
            self.assertEqual(self.location(b"http://localhost:3000/x", local=local), b"/previews/s1/x")
            self.assertEqual(self.location(b"http://172.17.0.2:3000/x", local=local, prefix=b""), b"/x")

    def test_f5_behind_tls_an_application_that_does_not_look_at_the_scheme_leads_nowhere_else(self) -> None:
        for value in (b"http://a.example/x", b"http://a.example:443/x"):
            self.assertEqual(self.location(value, scheme=b"https", prefix=b""), b"https://a.example/x")
            self.assertEqual(self.location(value, scheme=b"https"), b"https://a.example/previews/s1/x")
        self.assertEqual(self.location(b"https://a.example/x", prefix=b""), b"https://a.example/x")

    def test_cookies_are_the_previews_alone_in_both_stories(self) -> None:
        for local in (False, True):
            for prefix in (b"", PREFIX):
                rewriter = carried(section_of((b"Host", b"a.example")), local=local, prefix=prefix).rewriter
                self.assertEqual(
                    rewriter.response_field(b"set-cookie", b"a=b; Domain=a.example; Path=/x; Secure"),
                    b"a=b; Path=%b/x; Secure" % prefix,
                )


NAMES = (
    b"Host", b"Origin", b"Referer", b"Forwarded", b"X-Forwarded-For", b"X-Forwarded-Host", b"X-Forwarded-Proto",
    b"X-Forwarded-Port", b"X-Forwarded-Prefix", b"X-Forwarded-Ssl", b"X-Forwarded-Scheme", b"X-Real-IP", b"X-Scheme",
    b"x_forwarded_host", b"X-Forwarded-Server", b"Connection",
)  # fmt: skip
WORDS = st.sampled_from(
    [
        b"a.example", b"A.example:80", b"a.example:443", b"b.example:8443", b"http://a.example", b"https://a.example",
        b"https://a.example:443/previews/s1/x", b"http://b.example:8443/y", b"https", b"http", b"HTTPS", b"wss", b"on",
        b"80", b"443", b"8443", b"0", b"99999", b"203.0.113.9", b"::1", b"[::1]:80", b"for=203.0.113.9;host=a.example",
        b'for="[::1]";proto=https', b'host="b.example:8443"', b'for="', b"", b"null", b"x-forwarded-host", b"/outer",
    ]
)  # fmt: skip
VALUES = st.one_of(
    WORDS,
    st.builds(lambda one, other: one + b", " + other, WORDS, WORDS),
    st.text('ab.:/[]"\\=;, ', max_size=12).map(lambda text: text.strip().encode()),
)


class NoTwoDisagree(SynchronousTestCase):
    """Whatever comes, what is sent on names one host, one scheme, one port and one list of clients."""

    @given(
        host=st.sampled_from([b"a.example", b"a.example:80", b"A.EXAMPLE:443", b"b.example:8443", b"[::1]:40", b"a:"]),
        fields=st.lists(st.tuples(st.sampled_from(NAMES[1:]), VALUES), max_size=6),
        options=st.fixed_dictionaries(
            {
                "trusted": st.booleans(),
                "secure": st.booleans(),
                "local": st.booleans(),
                "prefix": st.sampled_from([b"", PREFIX]),
                "stripped": st.booleans(),
            }
        ),
    )
    @example(
        host=b"a.example",
        fields=[(b"X-Forwarded-Proto", b"https"), (b"Forwarded", b"proto=http;host=b.example")],
        options={"trusted": True, "secure": False, "local": False, "prefix": b"", "stripped": True},
    )
    def test_f4_f5_f6_the_fields_agree(
        self, host: bytes, fields: list[tuple[bytes, bytes]], options: dict[str, Any]
    ) -> None:
        sent = carried(section_of((b"Host", host), *fields), **options)
        told = sent.one(b"host") or b""
        if options["local"]:
            self.assertEqual(told, LOCAL)
            scheme = b"http"
            for name in (b"proto", b"host", b"port", b"ssl", b"scheme", b"server"):
                self.assertEqual(sent.all(b"x-forwarded-" + name), [])
        else:
            scheme = sent.one(b"x-forwarded-proto") or b""
            port = sent.one(b"x-forwarded-port") or b""
            self.assertIn(scheme, {b"http", b"https"})
            self.assertEqual(sent.one(b"x-forwarded-host"), told)
            explicit = told.rpartition(b":")[2] if not told.endswith(b"]") and b":" in told else b""
            self.assertEqual(port, explicit or {b"http": b"80", b"https": b"443"}[scheme])
        elements = read_forwarded(sent.one(b"forwarded") or b"")
        for element in elements:
            self.assertEqual(element.get(b"proto", scheme), scheme)
            self.assertEqual(element.get(b"host", told), told)
        clients = (sent.one(b"x-forwarded-for") or b"").split(b", ")
        self.assertEqual([e[b"for"].strip(b"[]").lower() for e in elements], [c.strip(b"[]").lower() for c in clients])
        self.assertEqual(clients[-1], PEER)
        # An own address that is sent is spelled as the others tell it; all else is somebody else's, as it came.
        came = [value for _, value in fields]
        for value in sent.all(b"origin") + sent.all(b"referer"):
            own = value.startswith((scheme + b"://" + told, b"http://" + LOCAL))
            self.assertTrue(own or value in came, value)
        for name in (*forwarding.ALIASES, b"x_forwarded_host"):
            self.assertEqual(sent.all(name), [])


class Examples(SynchronousTestCase):
    """Those in the docstrings."""

    def test_they_hold(self) -> None:
        for module in (forwarding, host_rule, hostnames, origins, rewriting):
            failed, attempted = doctest.testmod(module)
            self.assertGreater(attempted, 0, module)
            self.assertEqual(failed, 0, module)
