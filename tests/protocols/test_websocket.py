"""The frame tracker finds what a decoder finds, wherever the stream is cut, and passes on every byte but our pong."""

from __future__ import annotations

import itertools
import struct

import attrs
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.protocols.websocket import FrameTracker


@attrs.frozen
class Frame:
    """A frame as section 5.2 of RFC 6455 writes it; ``width`` forces a longer length field than needed."""

    first: int
    payload: bytes
    key: bytes | None = None
    width: int = 0

    def bytes(self) -> bytes:
        length = len(self.payload)
        mask = 0 if self.key is None else 0x80
        if length > 0xFFFF or self.width == 8:
            head = struct.pack("!BBQ", self.first, mask | 127, length)
        elif length > 125 or self.width == 2:
            head = struct.pack("!BBH", self.first, mask | 126, length)
        else:
            head = struct.pack("!BB", self.first, mask | length)
        if self.key is None:
            return head + self.payload
        return head + self.key + bytes(byte ^ key for byte, key in zip(self.payload, itertools.cycle(self.key)))


FRAMES = st.lists(
    st.builds(
        Frame,
        st.integers(0, 255),
        st.binary(max_size=12) | st.integers(120, 300).map(bytes) | st.integers(65530, 65540).map(bytes),
        st.none() | st.binary(min_size=4, max_size=4),
        st.sampled_from((0, 2, 8)),
    ),
    max_size=8,
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The stream in pieces."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(edges)]


class FrameTrackerTests(SynchronousTestCase):
    """Boundaries, control frames and the one pong that is ours."""

    @given(FRAMES, st.lists(st.integers(0), max_size=12))
    def test_boundaries_are_where_frames_end_and_every_byte_is_passed_on(
        self, frames: list[Frame], places: list[int]
    ) -> None:
        ends = {0, *itertools.accumulate(len(frame.bytes()) for frame in frames)}
        stream = b"".join(frame.bytes() for frame in frames)
        tracker = FrameTracker()
        passed = b""
        for piece in cut(stream, places):
            before = len(passed)
            part = tracker.feed(piece)
            passed += part
            inside = [end for end in ends if before <= end <= len(passed)]
            self.assertEqual(None if tracker.boundary is None else before + tracker.boundary, max(inside, default=None))
            self.assertEqual(tracker.between, len(passed) in ends)
        self.assertEqual(passed, stream)
        self.assertEqual(tracker.flush(), b"")
        self.assertEqual(tracker.closing, any(frame.first & 15 == 8 for frame in frames))

    @given(FRAMES, st.integers(0))
    def test_a_stream_that_ends_inside_a_frame_is_passed_on_whole(self, frames: list[Frame], place: int) -> None:
        stream = b"".join(frame.bytes() for frame in frames)
        stream = stream[: place % (len(stream) + 1)]
        ends = {0, *itertools.accumulate(len(frame.bytes()) for frame in frames)}
        tracker = FrameTracker()
        self.assertEqual(tracker.feed(stream) + tracker.flush(), stream)
        self.assertEqual(tracker.between, len(stream) in ends)

    @given(FRAMES, st.lists(st.integers(0), max_size=12), st.integers(1, 4))
    def test_f32_as_many_frames_at_once_as_it_is_told(self, frames: list[Frame], places: list[int], limit: int) -> None:
        stream = b"".join(frame.bytes() for frame in frames)
        ends = [0, *itertools.accumulate(len(frame.bytes()) for frame in frames)]
        tracker = FrameTracker()
        passed = b""
        for piece in cut(stream, places):
            passed += tracker.feed(piece, limit)
            while tracker.behind:
                self.assertTrue(tracker.between and tracker.boundary is not None)
                before = len(passed)
                passed += tracker.feed(b"", limit)
                self.assertLessEqual(sum(before < end <= len(passed) for end in ends), limit)
        self.assertEqual((passed, tracker.flush()), (stream, b""))
        self.assertEqual(tracker.empty, sum(not frame.payload for frame in frames))

    def test_every_cut_of_every_length_form_gives_the_same(self) -> None:
        frames = [
            Frame(0x82, b"", b"abcd"),
            Frame(0x02, bytes(125)),
            Frame(0x89, b"ping", b"wxyz"),
            Frame(0x80, bytes(126), b"abcd"),
            Frame(0xC1, b"x", None, 8),
        ]
        stream = b"".join(frame.bytes() for frame in frames)
        for place in range(len(stream) + 1):
            tracker = FrameTracker()
            passed = tracker.feed(stream[:place]) + tracker.feed(stream[place:])
            self.assertEqual((passed, tracker.between, tracker.closing), (stream, True, False))

    @given(FRAMES, FRAMES, st.lists(st.integers(0), max_size=12))
    def test_the_awaited_pong_alone_is_taken_out(
        self, before: list[Frame], after: list[Frame], places: list[int]
    ) -> None:
        ours, theirs = b"\x00\xfftoken!", b"\x00\xfftoken?"
        others = [
            Frame(0x8A, theirs, b"abcd"),
            Frame(0x8A, ours),
            Frame(0x82, ours, b"abcd"),
            Frame(0x8A, b"", b"abcd"),
        ]
        head = b"".join(frame.bytes() for frame in [*before, *others])
        tail = b"".join(frame.bytes() for frame in after) + Frame(0x8A, ours, b"efgh").bytes()
        tracker = FrameTracker()
        tracker.awaited = ours
        pieces = cut(head + Frame(0x8A, ours, b"qrst").bytes() + tail, places)
        self.assertEqual(b"".join(map(tracker.feed, pieces)), head + tail)
        self.assertEqual((tracker.awaited, tracker.between), (b"", True))

    def test_a_pong_is_let_through_when_none_is_awaited(self) -> None:
        pong = Frame(0x8A, b"\x00\xfftoken!", b"abcd").bytes()
        self.assertEqual(FrameTracker().feed(pong), pong)

    def test_part_of_a_frame_is_passed_on_at_once(self) -> None:
        tracker = FrameTracker()
        frame = Frame(0x82, bytes(1000)).bytes()
        self.assertEqual(tracker.feed(frame[:500]), frame[:500])
        self.assertFalse(tracker.between)

    def test_a_length_no_machine_holds_costs_nothing(self) -> None:
        tracker = FrameTracker()
        head = b"\x82\x7f" + b"\xff" * 8
        self.assertEqual(tracker.feed(head + b"abc"), head + b"abc")
        self.assertFalse(tracker.between)
