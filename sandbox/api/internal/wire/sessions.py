"""Sessions on the wire (contract section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Self

from sandbox.api.framework.messages import Message, member
from sandbox.api.framework.schemas import NO_NUL
from sandbox.api.internal.wire.parameters import ENV, ID, MOMENT, STATUS, TEXT, USER
from sandbox.domain import model
from sandbox.domain.model import iso
from sandbox.policy.commands import plain, plain_environment
from sandbox.policy.sessions import CPUS_MIN, MEMORY_MIN

_CREATED = "2026-01-25T12:00:00.000Z"
_EXAMPLE = {
    "id": "demo",
    "userId": "alice",
    "status": "running",
    "image": "sandbox-session:latest",
    "containerId": "4f1dc0a8b6de2f0c1b7c9d3e5a6f8091a2b3c4d5e6f708192a3b4c5d6e7f8091",
    "createdAt": _CREATED,
    "updatedAt": _CREATED,
}


class NewSession(Message, title="NewSession", closed=True, example={"userId": "alice", "id": "demo", "memoryMb": 512}):
    """What a session is made from."""

    user_id: str = member({**USER, "description": "Whose it is."}, decode=partial(plain, "userId"))
    id: str | None = member({**ID, "description": "Made when none is given."}, default=None)
    image: str | None = member(
        {
            **NO_NUL,
            "minLength": 1,
            "maxLength": 512,
            "description": "An image that the engine has; `SESSION_IMAGE` when none is given.",
        },
        default=None,
    )
    env: Mapping[str, str] = member(ENV, default={}, decode=plain_environment)
    memory_mb: int | None = member(
        {
            "type": "integer",
            "minimum": MEMORY_MIN,
            "description": "Memory limit in MiB, up to `SESSION_MEMORY_MB_MAX`.",
        },
        default=None,
    )
    cpus: float | None = member(
        {"type": "number", "minimum": CPUS_MIN, "description": "Limit in cores, up to `SESSION_CPUS_MAX`."},
        default=None,
    )


class Session(Message, title="Session", example=_EXAMPLE):
    """A session."""

    id: str = member(ID)
    user_id: str = member(TEXT)
    status: str = member({**STATUS, "description": "What the engine says, not what was last asked for."})
    image: str = member(TEXT)
    container_id: str | None = member({"type": ["string", "null"]})
    created_at: str = member(MOMENT)
    updated_at: str = member(MOMENT)

    @classmethod
    def of(cls, session: model.Session) -> Self:
        """A session of the domain's."""
        return cls(
            id=session.id,
            user_id=session.user_id,
            status=session.status.value,
            image=session.image,
            container_id=session.container_id,
            created_at=iso(session.created_at),
            updated_at=iso(session.updated_at),
        )


class SessionPage(Message, title="SessionPage", example={"sessions": [_EXAMPLE], "nextCursor": None}):
    """A page of a list of sessions."""

    sessions: list[Session] = member({"type": "array", "items": Session.schema})
    next_cursor: str | None = member(
        {"type": ["string", "null"], "description": "The next page's; null after the last."}
    )
