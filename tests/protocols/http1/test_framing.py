"""Chunked bodies, in any pieces, strictly, and as llhttp reads them (RFC 9112 section 7.1)."""

from __future__ import annotations

import httptools
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.http1 import framing, grammar
from sandbox.protocols.http1.framing import MAX_CHUNK_LINE, MAX_TRAILERS, ChunkedDecoder, chunk, keeps_alive, last_chunk
from sandbox.protocols.http1.grammar import Malformed, parse_request_head, parse_response_head

GOOD = b"3\r\nabc\r\n00a;x=y;z\r\n0123456789\r\n1;z\r\n\n\r\n0\r\nA: b\r\nC: d\r\n\r\nrest"


class Decoding(SynchronousTestCase):
    """Good bodies and bad ones."""

    def test_data_trailers_and_rest(self) -> None:
        decoder = ChunkedDecoder()
        self.assertEqual(decoder.feed(GOOD), [b"abc", b"0123456789", b"\n"])
        self.assertTrue(decoder.done)
        self.assertEqual((decoder.trailers, decoder.rest), ([(b"A", b"b"), (b"C", b"d")], b"rest"))

    def test_split_at_every_byte_it_is_the_same(self) -> None:
        for first in range(len(GOOD) + 1):
            for second in range(first, len(GOOD) + 1, 7):
                decoder = ChunkedDecoder()
                data = b"".join(decoder.feed(GOOD[:first]))
                rest = b""
                for piece in (GOOD[first:second], GOOD[second:]):
                    if decoder.done:
                        rest += piece
                    else:
                        data += b"".join(decoder.feed(piece))
                self.assertEqual(data, b"abc0123456789\n")
                self.assertEqual((decoder.trailers, decoder.rest + rest), ([(b"A", b"b"), (b"C", b"d")], b"rest"))

    def test_byte_by_byte_it_is_the_same(self) -> None:
        decoder = ChunkedDecoder()
        body = GOOD.removesuffix(b"rest")
        self.assertEqual(b"".join(b"".join(decoder.feed(bytes([byte]))) for byte in body), b"abc0123456789\n")
        self.assertTrue(decoder.done)

    def test_bad_sizes_endings_and_extensions_are_refused_in_any_pieces(self) -> None:
        """CVE-2022-24801 (0x), CVE-2025-22871 (bare LF), and whatever else some parser takes for a number."""
        for bad in (
            b"0x1\r\na", b"+1\r\na", b"-1\r\na", b" 1\r\na", b"1 \r\na", b"1_0\r\na", b"g\r\n", b";\r\n", b"\r\n",
            b"1\na", b"1\ra", b"1;a\nb\r\na", b"1;a\rb\r\n", b"1;\0\r\n", b"1;\x01\r\n", b"1 ;a\r\na", b"1\r\nab\r\n",
            b"1\r\na\n0\r\n", b"1\r\na\r0\r\n", b"f" * 16 + b"\r\n", b"0\r\nA : b\r\n\r\n",
            b"0\r\n A: b\r\n\r\n", b"0\r\nA\r\n\r\n", b"0;A: b\r\n",
            b"0;\r\n", b"0;a=\r\n", b"0;a=\"b\r\n", b"0;;a\r\n", b"0;=b\r\n", b"0;a=b\"c\"\r\n",
        ):  # fmt: skip
            with self.assertRaises(Malformed, msg=bad):
                ChunkedDecoder().feed(bad)
            decoder = ChunkedDecoder()
            with self.assertRaises(Malformed, msg=bad):
                for byte in bad:
                    decoder.feed(bytes([byte]))

    def test_long_lines_and_trailers_are_refused_without_keeping_them(self) -> None:
        """CVE-2023-39326: chunk extensions over a limit."""
        for bad in (b"1;" + b"a" * MAX_CHUNK_LINE, b"0\r\nA: " + b"b" * MAX_TRAILERS):
            decoder = ChunkedDecoder()
            with self.assertRaises(Malformed):
                for _ in range(2):
                    decoder.feed(bad)
        ChunkedDecoder().feed(b"1;" + b"a" * (MAX_CHUNK_LINE - 2) + b"\r\n")

    def test_f32_it_stops_after_as_many_pieces_as_it_is_told(self) -> None:
        for limit in range(1, 5):
            decoder = ChunkedDecoder()
            found = decoder.feed(GOOD, limit)
            while not decoder.done:
                self.assertTrue(decoder.behind)
                self.assertLessEqual(len(found), 3)
                found += decoder.feed(b"", limit)
            self.assertEqual((found, decoder.behind), ([b"abc", b"0123456789", b"\n"], False))
            self.assertEqual((decoder.trailers, decoder.rest), ([(b"A", b"b"), (b"C", b"d")], b"rest"))

    def test_f33_trailers_are_not_searched_again(self) -> None:
        looked_at = 0

        def judge(data: bytes, searched: int) -> bool:
            nonlocal looked_at
            looked_at += len(data) - max(0, searched - 1)
            return grammar.has_broken_line(data, searched)

        self.patch(framing, "has_broken_line", judge)
        decoder = ChunkedDecoder()
        decoder.feed(b"0\r\n")
        for byte in b"A: " + b"b" * 10_000 + b"\r\nC: d\r\n\r\n":
            decoder.feed(bytes([byte]))
        self.assertEqual((decoder.done, decoder.trailers[1]), (True, (b"C", b"d")))
        self.assertLess(looked_at, 3 * 10_000)

    def test_trailers_that_cannot_become_good_are_refused_before_they_end(self) -> None:
        for bad in (b"A: b\n\r\n", b"A: b\n", b"A\rb", b"A: \0"):
            decoder = ChunkedDecoder()
            decoder.feed(b"0\r\n")
            with self.assertRaises(Malformed, msg=bad):
                decoder.feed(bad)
        ChunkedDecoder().feed(b"0\r\nA: b\r")

    def test_extensions_are_read_over(self) -> None:
        for good in (b";a", b";a=b", b';a="b; \t!"', b';a="";b=c;d', b""):
            decoder = ChunkedDecoder()
            body = b"1" + good + b"\r\nx\r\n0" + good + b"\r\n\r\n"
            self.assertEqual(b"".join(b"".join(decoder.feed(bytes([byte]))) for byte in body), b"x")
            self.assertTrue(decoder.done, good)

    def test_what_is_encoded_is_decoded(self) -> None:
        decoder = ChunkedDecoder()
        pieces = decoder.feed(chunk(b"a" * 5000) + chunk(b"\r\n") + last_chunk([(b"A", b"b")]))
        self.assertEqual((pieces, decoder.done, decoder.trailers), ([b"a" * 5000, b"\r\n"], True, [(b"A", b"b")]))
        self.assertEqual(last_chunk(), b"0\r\n\r\n")


_BODY_PIECES = st.sampled_from(
    [
        b"0",
        b"1",
        b"2",
        b"a",
        b"\r\n",
        b"\r",
        b"\n",
        b";",
        b";x=y",
        b"ab",
        b" ",
        b"0\r\n\r\n",
        b"1\r\na\r\n",
        b"A: b\r\n",
        b"g",
    ]
)


class AgainstLlhttp(SynchronousTestCase):
    """What we accept to its end, llhttp in strict mode accepts with the same data."""

    @settings(deadline=None, max_examples=600)
    @given(st.lists(_BODY_PIECES, max_size=12))
    def test_any_pieces(self, pieces: list[bytes]) -> None:
        body = b"".join(pieces)
        decoder = ChunkedDecoder()
        try:
            data = b"".join(decoder.feed(body))
        except Malformed:
            return
        if not decoder.done:
            return
        seen: list[bytes] = []

        class Sink:
            def on_body(self, data: bytes) -> None:
                seen.append(data)

        parser = httptools.HttpRequestParser(Sink())
        whole = body.removesuffix(decoder.rest)
        parser.feed_data(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + whole)
        self.assertEqual(b"".join(seen), data)


class Persistence(SynchronousTestCase):
    """RFC 9112 section 9.3."""

    def test_who_may_go_on(self) -> None:
        for minor, connection, alive in (
            (1, b"", True),
            (1, b"keep-alive", True),
            (1, b"Close", False),
            (1, b"x, close", False),
            (0, b"", False),
            (0, b"keep-alive", False),
        ):
            field = b"Connection: %b\r\n" % connection if connection else b""
            head = parse_request_head(b"GET / HTTP/1.%d\r\nHost: a\r\n%b\r\n" % (minor, field))
            self.assertEqual(keeps_alive(head), alive, (minor, connection))
        self.assertTrue(keeps_alive(parse_response_head(b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n\r\n")))
        self.assertFalse(keeps_alive(parse_response_head(b"HTTP/1.0 200 OK\r\n\r\n")))
