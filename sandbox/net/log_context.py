"""For which request, and in which session, something happens: what every event logged meanwhile carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

#: A request's id, and its session's, ``""`` where it has none.
Origin = tuple[bytes, str]

#: ``Deferred.fromCoroutine`` keeps the context that it was called in, so an operation has its request's to its end.
#: What runs in it for longer must not keep the request alive: the value is two texts, never the request itself.
ORIGIN: ContextVar[Origin | None] = ContextVar("sandbox.logs.origin", default=None)


@contextmanager
def on_behalf_of(request_id: bytes, session_id: str) -> Iterator[None]:
    """Have what is logged meanwhile carry these ids."""
    token = ORIGIN.set((request_id, session_id))
    try:
        yield
    finally:
        ORIGIN.reset(token)
