"""Message heads are read strictly, and as llhttp reads them (RFC 9112)."""

from __future__ import annotations

import itertools
import re

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.http1.framing import Coding, request_framing, response_framing
from sandbox.protocols.http1.grammar import (
    Malformed,
    check_partial_head,
    has_broken_line,
    parse_request_head,
    parse_response_head,
    parse_trailers,
    split_list,
)

HOST = b"Host: example.org\r\n"


def request(fields: bytes = HOST, line: bytes = b"GET / HTTP/1.1") -> bytes:
    return line + b"\r\n" + fields + b"\r\n"


class Reader:
    """What llhttp says of a head."""

    def __init__(self, data: bytes) -> None:
        self.target = b""
        self.fields: list[tuple[bytes, bytes]] = []
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self.target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self.fields.append((name, value.rstrip(b" \t")))


class Requests(SynchronousTestCase):
    """What is refused, each with the advisory or section that asks for it."""

    def assert_refused(self, data: bytes) -> None:
        with self.assertRaises(Malformed) as caught:
            request_framing(parse_request_head(data))
        self.assertEqual(caught.exception.status, 400)

    def test_a_plain_head_is_read(self) -> None:
        head = parse_request_head(request(b"Host: a:80\r\nx-Y:  1 2\t \r\nX-y:\r\n", b"pAtCh-1 /%2e;//?? HTTP/1.1"))
        self.assertEqual((head.method, head.target, head.minor), (b"pAtCh-1", b"/%2e;//??", 1))
        self.assertEqual(head.fields, [(b"Host", b"a:80"), (b"x-Y", b"1 2"), (b"X-y", b"")])

    def test_any_token_is_a_method(self) -> None:
        """RFC 9110 section 9.1: methods are extensible. llhttp knows a fixed list of them."""
        self.assertEqual(parse_request_head(request(line=b"QUERY!x / HTTP/1.1")).method, b"QUERY!x")

    def test_a_tab_behind_the_transfer_encoding_is_refused(self) -> None:
        """Lawful white space, but there are parsers that take it for a part of the coding's name."""
        for value in (b"chunked\t", b"chunked \t", b"chunked\t "):
            self.assert_refused(request(HOST + b"Transfer-Encoding: " + value + b"\r\n"))
        parse_request_head(request(HOST + b"Transfer-Encoding:\tchunked \r\n"))

    def test_absolute_form_names_the_host(self) -> None:
        """RFC 9112 section 3.2.2: the Host field is ignored, not obeyed (CVE-2026-44578)."""
        head = parse_request_head(request(b"A: b\r\nHost: evil\r\n", b"GET http://good:80/a?b HTTP/1.1"))
        self.assertEqual((head.target, head.known[b"host"]), (b"/a?b", b"good:80"))
        self.assertEqual(head.fields, [(b"Host", b"good:80"), (b"A", b"b")])
        for line, target in ((b"GET HTTPS://good HTTP/1.1", b"/"), (b"GET http://good?a/b HTTP/1.1", b"/?a/b")):
            self.assertEqual(parse_request_head(request(line=line)).target, target)

    def test_absolute_form_with_credentials_or_without_a_host_is_refused(self) -> None:
        for target in (b"http://user@good/", b"http:///", b"ftp://good/", b"http:/good"):
            self.assert_refused(request(line=b"GET %b HTTP/1.1" % target))

    def test_authority_form_and_connect_are_refused(self) -> None:
        for line in (
            b"CONNECT good:80 HTTP/1.1",
            b"GET good:80 HTTP/1.1",
            b"CONNECT http://good/ HTTP/1.1",
            b"CONNECT / HTTP/1.1",
        ):
            self.assert_refused(request(line=line))

    def test_absolute_form_needs_a_host_too(self) -> None:
        """RFC 9112 section 3.2."""
        self.assert_refused(request(b"", b"GET http://good/ HTTP/1.1"))
        self.assertEqual(parse_request_head(request(b"", b"GET http://good/ HTTP/1.0")).known[b"host"], b"good")

    def test_asterisk_form_is_for_options(self) -> None:
        self.assertEqual(parse_request_head(request(line=b"OPTIONS * HTTP/1.1")).target, b"*")
        self.assert_refused(request(line=b"GET * HTTP/1.1"))

    def test_a_missing_repeated_or_invalid_host_is_refused(self) -> None:
        """RFC 9112 section 3.2."""
        for fields in (b"", HOST + HOST, b"Host: a\r\nhost: b\r\n", b"Host: a b\r\n", b"Host: a/b\r\n", b"Host:\r\n"):
            self.assert_refused(request(fields))
        for host in (b"a@b", b"a,b", b"[::1", b"a:b", b'a"b', b"a\\b", b"a?b", b"a#b", b"\xc3\xa4"):
            if host != b"a,b":  # A comma is a sub-delim, so a name may hold it (RFC 3986 section 3.2.2).
                self.assert_refused(request(b"Host: %b\r\n" % host))

    def test_http_1_0_needs_no_host(self) -> None:
        self.assertEqual(parse_request_head(request(b"", b"GET / HTTP/1.0")).minor, 0)

    def test_other_versions_are_refused(self) -> None:
        """HTTP/0.9, HTTP/2's preface and everything that nobody speaks."""
        for line in (
            b"GET /",
            b"PRI * HTTP/2.0",
            b"GET / HTTP/2.0",
            b"GET / HTTP/1.2",
            b"GET / HTTP/1.10",
            b"GET / http/1.1",
        ):
            self.assert_refused(request(line=line))

    def test_other_spaces_in_the_request_line_are_refused(self) -> None:
        for line in (
            b"GET  / HTTP/1.1",
            b"GET\t/ HTTP/1.1",
            b"GET / HTTP/1.1 ",
            b" GET / HTTP/1.1",
            b"GET /a b HTTP/1.1",
        ):
            self.assert_refused(request(line=line))

    def test_targets_that_are_not_ascii_or_have_a_fragment_are_refused(self) -> None:
        for target in (b"/\xff", b"/\xc3\xa4", b"/\x01", b"/\x7f", b"/a#b", b""):
            self.assert_refused(request(line=b"GET %b HTTP/1.1" % target))

    def test_bare_cr_bare_lf_and_nul_are_refused(self) -> None:
        """CVE-2025-22871 and its like: one parser's line end is another's text."""
        for bad in (b"A: b\rc\r\n", b"A: b\nC: d\r\n", b"A: b\0c\r\n", b"A: b\n", b"A\n: b\r\n", b"\nA: b\r\n"):
            self.assert_refused(request(HOST + bad))
        self.assert_refused(b"GET / HTTP/1.1\nHost: a\r\n\r\n")

    def test_folded_lines_are_refused(self) -> None:
        """RFC 9112 section 5.2, obs-fold."""
        for bad in (b"A: b\r\n c\r\n", b"A: b\r\n\tc\r\n", b" A: b\r\n", b"A:\r\n \r\n"):
            self.assert_refused(request(HOST + bad))
        self.assert_refused(request(b" " + HOST))

    def test_space_before_the_colon_and_names_that_are_no_tokens_are_refused(self) -> None:
        """RFC 9112 section 5.1."""
        for bad in (
            b"A : b\r\n",
            b"A\t: b\r\n",
            b"A(b): c\r\n",
            b": b\r\n",
            b"Ab\r\n",
            b"A b: c\r\n",
            b"\xc3\xa4: b\r\n",
        ):
            self.assert_refused(request(HOST + bad))

    def test_control_characters_in_values_are_refused_and_obs_text_passes(self) -> None:
        for byte in (1, 8, 11, 12, 31, 127):
            self.assert_refused(request(HOST + b"A: b%cc\r\n" % byte))
        self.assertEqual(parse_request_head(request(HOST + b"A: \xff\t\x80\r\n")).fields[1], (b"A", b"\xff\t\x80"))

    def test_content_length_must_be_one_number(self) -> None:
        """CVE-2022-24801 and CVE-2020-10108: signs, lists and repetitions."""
        for value in (b"+1", b"-1", b"0x1", b"1,1", b"1 1", b"1_0", b"", b"1.0", b"9" * 19, b"\xb2", b"1;"):
            self.assert_refused(request(HOST + b"Content-Length: %b\r\n" % value))
        for first, second in ((b"1", b"1"), (b"1", b"2")):
            self.assert_refused(request(HOST + b"Content-Length: %b\r\ncontent-length: %b\r\n" % (first, second)))
        self.assertEqual(request_framing(parse_request_head(request(HOST + b"Content-Length:\t007 \r\n"))).length, 7)

    def test_transfer_encoding_with_content_length_is_refused(self) -> None:
        """CVE-2020-10109; RFC 9112 section 6.1."""
        pair = [b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n"]
        self.assert_refused(request(HOST + b"".join(pair)))
        self.assert_refused(request(HOST + b"".join(reversed(pair))))

    def test_transfer_encoding_must_be_exactly_chunked(self) -> None:
        for value in (
            b"identity",
            b"gzip, chunked",
            b"chunked, chunked",
            b"chunked,",
            b",chunked",
            b"chunked;a",
            b"x",
            b"",
        ):
            self.assert_refused(request(HOST + b"Transfer-Encoding: %b\r\n" % value))
        self.assert_refused(request(HOST + b"Transfer-Encoding: chunked\r\n" * 2))
        self.assert_refused(request(b"Transfer-Encoding: chunked\r\n", b"POST / HTTP/1.0"))
        framing = request_framing(parse_request_head(request(HOST + b"Transfer-Encoding: ChunkeD\r\n")))
        self.assertIs(framing.coding, Coding.CHUNKED)

    def test_too_many_fields_are_431(self) -> None:
        parse_request_head(request(HOST + b"A: b\r\n" * 199))
        with self.assertRaises(Malformed) as caught:
            parse_request_head(request(HOST + b"A: b\r\n" * 200))
        self.assertEqual(caught.exception.status, 431)

    def test_a_remembered_section_is_read_anew_under_another_limit(self) -> None:
        data = request(HOST + b"A: b\r\n")
        parse_request_head(data, 2)
        with self.assertRaises(Malformed):
            parse_request_head(data, 1)

    def test_lists_are_split_without_empty_members(self) -> None:
        self.assertEqual(split_list(b" Close,, x-a\t,"), [b"close", b"x-a"])

    def test_trailers_are_read_like_fields(self) -> None:
        self.assertEqual(parse_trailers(b"A: b\r\nC:d\r\n\r\n"), [(b"A", b"b"), (b"C", b"d")])
        with self.assertRaises(Malformed):
            parse_trailers(b"A : b\r\n\r\n")


class Partial(SynchronousTestCase):
    """What cannot become a head any more is refused before its empty line comes."""

    def test_every_beginning_of_a_good_head_passes(self) -> None:
        data = request(HOST + b"A: b c\r\n", b"GET /a?b HTTP/1.1")
        for end in range(1, len(data)):
            check_partial_head(data[:end], 1000)

    def test_bad_beginnings_are_refused(self) -> None:
        for data in (
            b"\x16\x03\x01",
            b"GET /\n",
            b"GET / HTTP/1.1\nHost",
            b"GET /\r\nA",
            b"GET / HTTP/1.1\r\nA\0",
            b"\rG",
            b"{",
        ):
            with self.assertRaises(Malformed):
                check_partial_head(data, 1000)

    def test_a_line_over_the_limit_is_414_though_it_has_not_ended(self) -> None:
        for end in (b"", b" HTTP/1.1\r\n"):
            with self.assertRaises(Malformed) as caught:
                check_partial_head(b"GET /" + b"a" * 1000 + end, 1000)
            self.assertEqual(caught.exception.status, 414)


class BrokenLines(SynchronousTestCase):
    """RFC 9112 section 2.2: what is no line's end in a head, wherever that was cut on its way."""

    def test_f33_all_short_texts_are_judged_as_by_their_definition(self) -> None:
        definition = re.compile(rb"(?<!\r)\n|\r[^\n]|\x00", re.DOTALL)
        for length in range(7):
            for letters in itertools.product((b"\r", b"\n", b"\0", b"x"), repeat=length):
                data = b"".join(letters)
                broken = definition.search(data) is not None
                self.assertIs(has_broken_line(data), broken, data)
                self.assertIs(has_broken_line(bytearray(data)), broken, data)
                for searched in range(1, length + 1):
                    if definition.search(data[:searched]) is None:
                        self.assertIs(has_broken_line(data, searched), broken, (data, searched))


class Responses(SynchronousTestCase):
    """Heads of applications' answers."""

    def test_a_plain_head_is_read(self) -> None:
        head = parse_response_head(b"HTTP/1.0 299 Fine \xff day\r\nA: b\r\n\r\n")
        self.assertEqual(
            (head.status, head.line, head.minor, head.fields),
            (299, b"HTTP/1.1 299 Fine \xff day\r\n", 0, [(b"A", b"b")]),
        )
        self.assertEqual(parse_response_head(b"HTTP/1.1 200\r\n\r\n").line, b"HTTP/1.1 200 \r\n")

    def test_what_is_not_http_is_refused(self) -> None:
        for line in (
            b"HTTP/2 200 OK",
            b"HTTP/1.1 2000 OK",
            b"HTTP/1.1 20 OK",
            b"HTTP/1.1  200 OK",
            b"SSH-2.0-x",
            b"200 OK",
            b"",
        ):
            with self.assertRaises(Malformed):
                parse_response_head(line + b"\r\n\r\n")

    def test_a_nul_in_a_field_is_refused(self) -> None:
        """Go 1.19 and HAProxy 2.6 passed it on."""
        with self.assertRaises(Malformed):
            parse_response_head(b"HTTP/1.1 200 OK\r\nA: b\0\r\n\r\n")

    def test_contradicting_lengths_are_refused(self) -> None:
        """nginx 1.22 accepted two Content-Lengths."""
        for fields in (
            b"Content-Length: 1\r\nContent-Length: 2\r\n",
            b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            b"Transfer-Encoding: gzip\r\n",
        ):
            for method in (b"GET", b"HEAD"):
                with self.assertRaises(Malformed):
                    response_framing(parse_response_head(b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n"), method)

    def test_framing_by_method_and_status(self) -> None:
        """RFC 9112 section 6.3."""

        def coding(status: int, fields: bytes = b"", method: bytes = b"GET") -> Coding:
            head = parse_response_head(b"HTTP/1.1 %d OK\r\n%b\r\n" % (status, fields))
            return response_framing(head, method).coding

        length = b"Content-Length: 5\r\n"
        self.assertIs(coding(200, length), Coding.LENGTH)
        self.assertIs(coding(200), Coding.CLOSE)
        self.assertIs(coding(200, b"Transfer-Encoding: chunked\r\n"), Coding.CHUNKED)
        self.assertIs(coding(200, b"Content-Length: 0\r\n"), Coding.NONE)
        for status, method in ((204, b"GET"), (304, b"GET"), (200, b"HEAD"), (103, b"GET")):
            self.assertIs(coding(status, length, method), Coding.NONE)


_PIECES = st.sampled_from(
    [
        *(
            b"GET",
            b"POST",
            b" ",
            b"  ",
            b"\t",
            b"/",
            b"/a",
            b"*",
            b"http://h",
            b"HTTP/1.1",
            b"HTTP/1.0",
            b"\r\n",
            b"\r",
        ),
        *(b"\n", b"\r\n ", b"Host: h", b"Host", b":", b": ", b" :", b"A: b", b"#", b",", b"x", b"\0", b"\x0b", b"\xff"),
        *(b"Content-Length: 1", b"Content-Length: 01", b"Content-Length:1,1", b"Transfer-Encoding: chunked"),
        *(b"Transfer-Encoding: gzip", b"Transfer-Encoding"),
    ]
)


class AgainstLlhttp(SynchronousTestCase):
    """What we accept, llhttp in strict mode accepts and reads the same, but for the methods that it does not know."""

    @settings(deadline=None, max_examples=400)
    @given(st.lists(_PIECES, max_size=14))
    def test_any_bytes(self, pieces: list[bytes]) -> None:
        self.check(b"GET /a HTTP/1.1\r\nHost: h\r\n" + b"".join(pieces) + b"\r\n\r\n")
        self.check(b"".join(pieces) + b"\r\n\r\n")

    @settings(deadline=None, max_examples=400)
    @given(
        st.binary(max_size=30),
        st.sampled_from([b"GET %b HTTP/1.1\r\nHost: h\r\n\r\n", b"GET / HTTP/1.1\r\nHost: h\r\nA: %b\r\n\r\n"]),
    )
    def test_any_bytes_in_a_target_or_value(self, data: bytes, frame: bytes) -> None:
        self.check(frame % data)

    def check(self, data: bytes) -> None:
        end = data.find(b"\r\n\r\n") + 4
        try:
            head = parse_request_head(data[:end])
            request_framing(head)
        except Malformed:
            return
        if data.startswith((b"GET http", b"POST http")):
            return  # llhttp gives the whole URI as the target.
        reader = Reader(data[:end])
        self.assertEqual((reader.target, reader.fields), (head.target, list(head.fields)))
