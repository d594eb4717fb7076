"""Docker's stream and the agent's protocol, taken apart however they were cut."""

from __future__ import annotations

import struct
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.docker_stream import STDERR, STDOUT, FrameError, StreamDemultiplexer
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.protocol import ProtocolError, ReplyParser

frames = st.lists(st.tuples(st.sampled_from([STDOUT, STDERR]), st.binary(max_size=40)))
replies = st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 255), st.binary(max_size=40)))


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in pieces."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


class StreamTests(SynchronousTestCase):
    """Docker's multiplexed stream."""

    @given(frames, st.lists(st.integers(0, 2000)))
    def test_any_frames_cut_anywhere_come_out_whole(self, sent: list[tuple[int, bytes]], places: list[int]) -> None:
        data = b"".join(struct.pack(">BxxxI", stream, len(payload)) + payload for stream, payload in sent)
        demultiplexer = StreamDemultiplexer()
        pieces = [piece for part in cut(data, places) for piece in demultiplexer.feed(part)]
        for stream in (STDOUT, STDERR):
            whole = b"".join(payload for number, payload in sent if number == stream)
            self.assertEqual(b"".join(piece for number, piece in pieces if number == stream), whole)

    @given(st.binary(min_size=8))
    def test_what_is_no_stream_is_an_error_or_frames(self, data: bytes) -> None:
        try:
            pieces = list(StreamDemultiplexer().feed(data))
        except FrameError:
            return
        self.assertLessEqual(sum(len(piece) for _, piece in pieces), len(data) - 8)

    def test_an_engine_that_answers_in_plain_text_is_an_error(self) -> None:
        self.assertRaises(FrameError, list, StreamDemultiplexer().feed(b"404 page not found"))

    def test_a_cut_header_waits_for_its_rest(self) -> None:
        demultiplexer = StreamDemultiplexer()
        self.assertEqual(list(demultiplexer.feed(b"\1\0\0")), [])
        self.assertEqual(list(demultiplexer.feed(b"\0\0\0\0\2ab")), [(STDOUT, b"ab")])


class ReplyTests(SynchronousTestCase):
    """The agent's replies."""

    @given(replies, st.lists(st.integers(0, 2000)))
    def test_any_replies_cut_anywhere_come_out_whole(
        self, sent: list[tuple[int, int, bytes]], places: list[int]
    ) -> None:
        data = b"".join(protocol.frame(number, kind, payload) for number, kind, payload in sent)
        parser = ReplyParser()
        self.assertEqual([reply for part in cut(data, places) for reply in parser.feed(part)], sent)

    def test_a_reply_longer_than_the_agents_is_refused_before_it_is_kept(self) -> None:
        parser = ReplyParser()
        self.assertRaises(ProtocolError, list, parser.feed(struct.pack(">IIB", 4088, 1, 0)))

    @given(st.binary(max_size=100))
    def test_payloads_that_are_none_raise_nothing_else(self, payload: bytes) -> None:
        for parse in (
            protocol.parse_exit,
            protocol.parse_refusal,
            protocol.parse_metadata,
            lambda p: list(protocol.parse_entries(p)),
        ):
            try:
                parse(payload)
            except ProtocolError:
                continue

    def test_names_that_no_directory_has_are_refused(self) -> None:
        metadata = struct.pack(">BQqI", ord("f"), 1, 2, 3)
        for name in (b"", b".", b"..", b"a/b", b"a\0b"):
            entry = metadata + struct.pack(">H", len(name)) + name
            self.assertRaises(ProtocolError, list, protocol.parse_entries(entry))
        self.assertRaises(ProtocolError, list, protocol.parse_entries(metadata + b"\0\5abc"))

    def test_a_time_before_1970_may_count_its_nanoseconds_back_from_the_second(self) -> None:
        """gVisor's kernel says so; taken for a broken protocol, it would end the link and what runs on it."""
        for seconds, nanoseconds, moment in ((0, -1, -1), (-1, -500_000_000, -1_500_000_000), (-1, 999_999_999, -1)):
            payload = struct.pack(">BQqi", ord("f"), 1, seconds, nanoseconds)
            self.assertEqual(protocol.parse_metadata(payload).modified_ns, moment)
        for nanoseconds in (10**9, -(10**9), 2**31 - 1, -(2**31)):
            payload = struct.pack(">BQqi", ord("f"), 1, 0, nanoseconds)
            self.assertRaises(ProtocolError, protocol.parse_metadata, payload)

    def test_a_request_larger_than_the_agent_takes_is_refused(self) -> None:
        self.assertRaises(ProtocolError, protocol.frame, 1, protocol.EXEC, bytes(protocol.MAX_REQUEST + 1))
