"""What a check found."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from sandbox.settings import Settings


class Level(enum.Enum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    :ivar check: what was looked at, in a word.
    :ivar fix: what to do, where something is to be done.
    """

    check: str
    level: Level
    message: str
    fix: str | None = None


@attrs.frozen(kw_only=True)
class Patient:
    """What the checks look at.

    :ivar environment: the daemon's variables.
    :ivar settings: what the daemon would make of them.
    :ivar url: where clients look for the daemon.
    :ivar key: the key that clients show it; ``None`` when there is none.
    """

    environment: Mapping[str, str]
    settings: Settings
    url: str
    key: str | None


def ok(check: str, message: str) -> Finding:
    """Nothing is to be done."""
    return Finding(check=check, level=Level.OK, message=message)


def warning(check: str, message: str, fix: str) -> Finding:
    """It works, and should be better."""
    return Finding(check=check, level=Level.WARNING, message=message, fix=fix)


def failed(check: str, message: str, fix: str) -> Finding:
    """It will not work like this."""
    return Finding(check=check, level=Level.FAILED, message=message, fix=fix)
