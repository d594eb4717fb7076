"""Choice of a session's container among those that carry its label."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sandbox.domain.model import ContainerSummary

C = TypeVar("C", bound=ContainerSummary)


def choose(containers: Iterable[C]) -> C | None:
    """The newest running container, else the newest; ``None`` when there is none. Ids break ties, for stability."""
    return max(containers, key=lambda one: (one.running, one.created_at, one.id), default=None)
