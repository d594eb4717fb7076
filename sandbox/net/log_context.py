"""Logging context: the ids of the current request and session, attached to every event logged meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: The ids of a request and its session, ``""`` where it has none.
Origin = tuple[bytes, str]

#: ``Deferred.fromCoroutine`` keeps the context of its caller, so an operation keeps its request's until it ends. Work
#: that outlives the request must not keep it in memory: the value is two ids, never the request itself.
ORIGIN: ContextVar[Origin | None] = ContextVar("sandbox.logs.origin", default=None)


@contextmanager
def on_behalf_of(request_id: bytes, session_id: str) -> Iterator[None]:
    """Attach these ids to every event logged inside the block."""
    token = ORIGIN.set((request_id, session_id))
    try:
        yield
    finally:
        ORIGIN.reset(token)
