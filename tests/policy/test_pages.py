"""``sandbox.policy.pages``: what a listing's query may say."""

from __future__ import annotations

import base64
import doctest
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from sandbox.errors import InvalidRequest
from sandbox.model import SessionStatus
from sandbox.policy import pages
from sandbox.policy.pages import DEFAULT_LIMIT, decode_cursor, encode_cursor, page_limit, status_filter


def encoded(text: str) -> str:
    """What a forger would send."""
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


class PageTests(SynchronousTestCase):
    """Limits and status."""

    def test_the_docstrings_examples_hold(self) -> None:
        self.assertEqual(doctest.testmod(pages).failed, 0)

    def test_limit(self) -> None:
        self.assertEqual(page_limit(None), DEFAULT_LIMIT)
        self.assertEqual([page_limit(text) for text in ("1", "007", "200")], [1, 7, 200])

    def test_limits_that_are_none(self) -> None:
        for text in ("", "0", "201", "-1", "+1", "1.0", " 1", "1e2", "x", "\u0661", "9" * 5000):
            with self.assertRaisesRegex(InvalidRequest, "'limit'"):
                page_limit(text)

    def test_status(self) -> None:
        self.assertIsNone(status_filter(None))
        self.assertEqual([status_filter(one.value) for one in SessionStatus], list(SessionStatus))

    def test_a_status_that_is_none(self) -> None:
        for text in ("", "RUNNING", "deleting"):
            with self.assertRaisesRegex(InvalidRequest, "'status' must be one of creating, running, stopped, failed"):
                status_filter(text)


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
