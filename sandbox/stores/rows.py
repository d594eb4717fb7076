"""Validation and normalization of rows, and errors, common to all stores."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from sandbox.domain.errors import Conflict, InvalidRequest, StoreUnavailable
from sandbox.domain.model import Link, SessionRecord

#: Maximum bytes of an id or user id in UTF-8: both are in B-tree indexes; PostgreSQL limits an entry to about 2700.
TEXT_LIMIT = 1024


def key(text: str, name: str) -> str:
    """Check that every database can store a text unchanged, and return it.

    :param name: its name on the wire, for the error.
    :raises InvalidRequest: for NUL (invalid in PostgreSQL), unpaired surrogates (invalid in UTF-8), or excess length.
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
    """Return the record as it will be read back: texts checked, times in UTC.

    :raises InvalidRequest: as :func:`key`.
    """
    key(record.id, "id")
    key(record.user_id, "userId")
    key(record.image, "image")
    return attrs.evolve(record, created_at=utc(record.created_at), updated_at=utc(record.updated_at))


def link_row(link: Link) -> Link:
    """Return the link as it will be read back: texts checked, times in UTC.

    :raises InvalidRequest: as :func:`key`.
    """
    key(link.id, "linkId")
    key(link.session_id, "id")
    if link.user_id is not None:
        key(link.user_id, "userId")
    return attrs.evolve(link, expires_at=utc(link.expires_at))


def utc(moment: datetime) -> datetime:
    """Convert a moment to UTC.

    :raises ValueError: for a naive ``datetime``.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a timestamp without a time zone: {moment!r}")
    return moment.astimezone(UTC)


def link_exists() -> Conflict:
    """The error for a duplicate link id; the id is sensitive, so the message leaves it out."""
    return Conflict("A link of that id already exists", code="LINK_EXISTS")


def in_use() -> StoreUnavailable:
    """The error of :meth:`IStore.acquire_lease` while another process holds the lease."""
    return StoreUnavailable("Another daemon uses the database")


def not_open() -> StoreUnavailable:
    """The error of every call before ``open`` and after ``close``."""
    return StoreUnavailable("The database is not open")
