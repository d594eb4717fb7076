"""F38, F39: JSON in pieces is the same JSON."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.http import encoding
from sandbox.http.encoding import SLICE, encode

texts = st.binary(max_size=200) | st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass"))


class Pieces(SynchronousTestCase):
    def whole(self, payload: dict[str, Any]) -> Any:
        return json.loads(b"".join(encode(payload)))

    @settings(max_examples=300, deadline=None)
    @given(texts, st.integers(1, 9))
    def test_f39_a_text_in_slices_is_the_text_as_a_whole(self, content: bytes, size: int) -> None:
        self.patch(encoding, "SLICE", size)
        self.assertEqual(self.whole({"a": 1, "b": content}), {"a": 1, "b": content.decode("utf-8", "replace")})

    @given(st.lists(st.text(max_size=20)), st.integers(1, 30))
    def test_f39_an_array_in_pieces_is_the_array(self, members: list[str], size: int) -> None:
        self.patch(encoding, "SLICE", size)
        self.assertEqual(self.whole({"entries": iter(members), "b": None}), {"entries": members, "b": None})

    def test_it_looks_as_a_whole_one_does(self) -> None:
        payload = {"path": "a/é", "exitCode": 0, "truncated": False}
        in_pieces = b"".join(encode({**payload, "content": b"x\n", "entries": iter([{"a": 1}, 2])}))
        whole = {**payload, "content": "x\n", "entries": [{"a": 1}, 2]}
        self.assertEqual(in_pieces, json.dumps(whole, ensure_ascii=False).encode())

    def test_f38_no_piece_is_larger_than_a_slice_can_become(self) -> None:
        pieces = list(encode({"stdout": bytes(10 * SLICE), "entries": iter(["x" * 100] * 10_000)}))
        self.assertLessEqual(max(map(len, pieces)), 7 * SLICE)
        self.assertGreaterEqual(min(map(len, pieces[:-1])), SLICE)
        self.assertGreater(len(pieces), 20)

    def test_names_that_are_no_text_are_escaped_one_by_one(self) -> None:
        self.assertEqual(self.whole({"entries": iter(["\udcff", "é"])}), {"entries": ["\udcff", "é"]})

    def test_f39_members_of_an_array_are_encoded_together(self) -> None:
        """One by one, half of a listing's time went to calling the encoder."""
        calls = 0
        dumps = json.dumps

        def counted(*given: Any, **named: Any) -> str:
            nonlocal calls
            calls += 1
            return dumps(*given, **named)

        self.patch(json, "dumps", counted)
        self.assertEqual(self.whole({"entries": iter(range(1000))}), {"entries": list(range(1000))})
        self.assertLessEqual(calls, 1000 / 8 + 1)
