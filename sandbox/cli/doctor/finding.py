"""Findings of checks."""

from __future__ import annotations

import enum
from collections.abc import Mapping

import attrs

from sandbox.settings import Settings


class Level(enum.Enum):
    """Severity of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Finding:
    """Result of a check.

    :ivar check: short name of the check.
    :ivar fix: suggested fix, if any.
    """

    check: str
    level: Level
    message: str
    fix: str | None = None


@attrs.frozen(kw_only=True)
class Patient:
    """Subject of the checks.

    :ivar environment: the daemon's variables.
    :ivar settings: the settings parsed from them.
    :ivar url: URL of the daemon in the clients' configuration.
    :ivar key: key in the clients' configuration, or ``None``.
    """

    environment: Mapping[str, str]
    settings: Settings
    url: str
    key: str | None


def ok(check: str, message: str) -> Finding:
    """The check passed."""
    return Finding(check=check, level=Level.OK, message=message)


def warning(check: str, message: str, fix: str) -> Finding:
    """The daemon works, but should be improved."""
    return Finding(check=check, level=Level.WARNING, message=message, fix=fix)


def failed(check: str, message: str, fix: str) -> Finding:
    """The daemon will not work."""
    return Finding(check=check, level=Level.FAILED, message=message, fix=fix)
