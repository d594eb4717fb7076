"""Pagination of sessions: page sizes and opaque cursors. Pure."""

from __future__ import annotations

import base64
import binascii
import json
from datetime import UTC, datetime, timedelta

from sandbox.domain.errors import InvalidRequest

#: Sessions per page: the default and the maximum.
DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def encode_cursor(created_at: datetime, session_id: str) -> str:
    """An opaque cursor for the position after a row, stable when other rows are inserted or removed.

    >>> decode_cursor(encode_cursor(datetime(2026, 1, 25, tzinfo=UTC), "a"))
    (datetime.datetime(2026, 1, 25, 0, 0, tzinfo=datetime.timezone.utc), 'a')
    """
    place = json.dumps([(created_at - _EPOCH) // _MICROSECOND, session_id], separators=(",", ":"))
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> tuple[datetime, str]:
    """The creation time and the id in a cursor.

    :raises InvalidRequest: when :func:`encode_cursor` did not make it.
    """
    try:
        raw = base64.b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        microseconds, session_id = json.loads(raw)
        if type(microseconds) is not int or type(session_id) is not str:
            raise ValueError
        created_at = _EPOCH + timedelta(microseconds=microseconds)
        if encode_cursor(created_at, session_id) != cursor:
            raise ValueError
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        raise InvalidRequest("Query parameter 'cursor' is not one that a listing gave") from None
    return created_at, session_id
