"""``sandbox.policy.cursors``: the cursor between pages."""

from __future__ import annotations

import base64
import doctest
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.domain.errors import InvalidRequest
from sandbox.policy import cursors
from sandbox.policy.cursors import decode_cursor, encode_cursor


def encoded(text: str) -> str:
    """What a forger would send."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class PageTests(SynchronousTestCase):
    """The module."""

    def test_the_docstrings_examples_hold(self) -> None:
        self.assertEqual(doctest.testmod(cursors).failed, 0)


class CursorTests(SynchronousTestCase):
    """Cursors come back as they were given, and nothing else is taken for one."""

    @given(
        st.datetimes(min_value=datetime(1970, 1, 1), timezones=st.just(UTC)), st.from_regex(r"[A-Za-z0-9_-]{1,64}\Z")
    )
    def test_round_trip(self, moment: datetime, session_id: str) -> None:
        cursor = encode_cursor(moment, session_id)
        self.assertRegex(cursor, r"\A[A-Za-z0-9_-]+\Z")
        self.assertEqual(decode_cursor(cursor), (moment, session_id))

    @given(st.text())
    def test_any_text_is_a_cursor_or_refused(self, text: str) -> None:
        try:
            moment, session_id = decode_cursor(text)
        except InvalidRequest as error:
            self.assertIn("'cursor'", error.message)
        else:
            self.assertEqual(encode_cursor(moment, session_id), text)

    def test_forged_ones_are_refused(self) -> None:
        good = encode_cursor(datetime(2026, 1, 25, tzinfo=UTC), "s")
        texts = ["", "!", good + "=", good + "A", good[:-1], encoded("[1]"), encoded('[1,"s",2]'), encoded('["1","s"]')]
        texts += [encoded('[1, "s"]'), encoded('[1.5,"s"]'), encoded('[true,"s"]'), encoded("[1,null]"), encoded("{}")]
        texts += [encoded(f'[{10**30},"s"]'), encoded("[" * 5000), encoded('[NaN,"s"]'), "\u0661", "a" * 4097]
        for text in texts:
            with self.assertRaisesRegex(InvalidRequest, "'cursor'"):
                decode_cursor(text)
