"""What every store agrees on about the values it keeps: which texts, which times, and which refusals."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from sandbox.domain.errors import Conflict, InvalidRequest, StoreUnavailable
from sandbox.domain.model import Link, SessionRecord

#: Bytes of UTF-8 of an id or user id: both stand in B-tree indexes, whose entries PostgreSQL limits to about 2700.
TEXT_LIMIT = 1024


def key(text: str, name: str) -> str:
    """A text that every database keeps as it is.

    :param name: what it is called on the wire, for the error.
    :raises InvalidRequest: for NUL (PostgreSQL has none), unpaired surrogates (UTF-8 has none), and too long a text.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise InvalidRequest(f"{name} must not contain unpaired surrogates") from None
    if "\0" in text:
        raise InvalidRequest(f"{name} must not contain NUL")
    if size > TEXT_LIMIT:
        raise InvalidRequest(f"{name} must not be longer than {TEXT_LIMIT} bytes")
    return text


def session_row(record: SessionRecord) -> SessionRecord:
    """The record as it will be read again: its texts checked, its times in UTC.

    :raises InvalidRequest: as :func:`key`.
    """
    key(record.id, "id")
    key(record.user_id, "userId")
    key(record.image, "image")
    return attrs.evolve(record, created_at=utc(record.created_at), updated_at=utc(record.updated_at))


def link_row(link: Link) -> Link:
    """The link as it will be read again.

    :raises InvalidRequest: as :func:`key`.
    """
    key(link.id, "linkId")
    key(link.session_id, "id")
    if link.user_id is not None:
        key(link.user_id, "userId")
    return attrs.evolve(link, expires_at=utc(link.expires_at))


def utc(moment: datetime) -> datetime:
    """The same moment in UTC.

    :raises ValueError: for a naive one, which names no moment.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a timestamp without a time zone: {moment!r}")
    return moment.astimezone(UTC)


def link_exists() -> Conflict:
    """The refusal of a second link of one id; the id is half a secret, so it is not told."""
    return Conflict("A link of that id already exists", code="LINK_EXISTS")


def in_use() -> StoreUnavailable:
    """The refusal of a claim while there is another."""
    return StoreUnavailable("Another daemon uses the database")


def not_open() -> StoreUnavailable:
    """The refusal of every call before ``open`` and after ``close``."""
    return StoreUnavailable("The database is not open")
