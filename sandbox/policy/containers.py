"""Which of the containers that carry one session's label is the session's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from sandbox.domain.model import ContainerSummary

C = TypeVar("C", bound=ContainerSummary)


def choose(containers: Iterable[C]) -> C | None:
    """Of several the newest that runs, else the newest; ``None`` of none. Ids break ties, so the answer is stable."""
    return max(containers, key=lambda one: (one.running, one.created_at, one.id), default=None)
