"""Conversion of the API's JSON to values. Raises KeyError, TypeError or ValueError for any other shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sandbox.client.values import (
    Entry,
    ExecResult,
    File,
    Health,
    Link,
    Metadata,
    Page,
    Registration,
    WrittenFile,
)
from sandbox.domain.model import EntryType, Session, SessionStatus

T = TypeVar("T")
Parser = Callable[[Any], T]


def nothing(payload: Any) -> None:
    """The result of a response without a body."""


def document(payload: Any) -> dict[str, Any]:
    """A JSON object, unchanged."""
    return _checked(payload, dict, "object")


def text(payload: Any) -> str:
    """A response that is not JSON."""
    return _checked(payload, str, "text")


def session(payload: Any) -> Session:
    """One session."""
    return Session(
        id=_field(payload, "id", str),
        user_id=_field(payload, "userId", str),
        status=SessionStatus(payload["status"]),
        image=_field(payload, "image", str),
        container_id=_optional(payload, "containerId", str),
        created_at=_moment(payload, "createdAt"),
        updated_at=_moment(payload, "updatedAt"),
    )


def page(payload: Any) -> Page:
    """A page of sessions."""
    found = [session(one) for one in _field(payload, "sessions", list)]
    return Page(sessions=found, next_cursor=_optional(payload, "nextCursor", str))


def exec_result(payload: Any) -> ExecResult:
    """A command's result."""
    return ExecResult(
        exit_code=_field(payload, "exitCode", int),
        stdout=_field(payload, "stdout", str),
        stderr=_field(payload, "stderr", str),
        duration_ms=_field(payload, "durationMs", int),
        truncated=_field(payload, "truncated", bool),
        signal=_optional(payload, "signal", str),
        oom_killed=payload.get("code") == "OOM_KILLED",
    )


def file(payload: Any) -> File:
    """A file's text."""
    return File(
        path=_field(payload, "path", str),
        content=_field(payload, "content", str),
        size=_field(payload, "size", int),
        modified_at=_moment(payload, "modifiedAt"),
    )


def written_file(payload: Any) -> WrittenFile:
    """A written file."""
    return WrittenFile(path=_field(payload, "path", str), size=_field(payload, "size", int))


def entries(payload: Any) -> Sequence[Entry]:
    """A directory's entries."""
    return [
        Entry(
            name=_field(one, "name", str),
            type=EntryType(one["type"]),
            size=_field(one, "size", int),
            modified_at=_moment(one, "modifiedAt"),
        )
        for one in _field(payload, "entries", list)
    ]


def metadata_or_none(payload: Any) -> Metadata | None:
    """A path's metadata."""
    if not _field(payload, "exists", bool):
        return None
    return Metadata(
        type=EntryType(payload["type"]), size=_field(payload, "size", int), modified_at=_moment(payload, "modifiedAt")
    )


def registration(payload: Any) -> Registration:
    """A registered preview."""
    state = _optional(payload, "state", dict) or {}
    told = _optional(state, "host", dict) or {}
    return Registration(
        session_id=_field(payload, "sessionId", str),
        port=_field(payload, "port", int),
        url=_optional(payload, "url", str),
        host_url=_optional(payload, "hostUrl", str),
        host=_optional(payload, "host", str),
        told={form: _optional(told, form, str) for form in told},
    )


def link(payload: Any) -> Link:
    """A preview link."""
    return Link(
        id=_field(payload, "id", str),
        url=_optional(payload, "url", str),
        host_url=_optional(payload, "hostUrl", str),
        expires_at=_moment(payload, "expiresAt"),
    )


def health(payload: Any) -> Health:
    """An application's health."""
    return Health(
        healthy=_field(payload, "healthy", bool),
        session_id=_field(payload, "sessionId", str),
        port=_field(payload, "port", int),
        status_code=_optional(payload, "statusCode", int),
        error=_optional(payload, "error", str),
    )


def _field(payload: Any, name: str, kind: type[T]) -> T:
    return _checked(payload[name], kind, name)


def _checked(value: Any, kind: type[T], name: str) -> T:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(name)
    return value


def _optional(payload: Any, name: str, kind: type[T]) -> T | None:
    return None if payload.get(name) is None else _field(payload, name, kind)


def _moment(payload: Any, name: str) -> datetime:
    return datetime.fromisoformat(_field(payload, name, str))
