"""What is logged, and how."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, choice, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Logs:
    """What is logged, and how."""

    log_format: str = variable(
        "LOG_FORMAT",
        choice("auto", "text", "json"),
        "auto",
        "How log lines look; auto: for people when they go to a terminal, one JSON object a line otherwise.",
    )
    log_level: str = variable(
        "LOG_LEVEL",
        choice("debug", "info", "warn", "error", "critical"),
        "info",
        "The lowest level that is logged.",
        live=True,
    )
    log_commands: bool = variable(
        "LOG_COMMANDS", FLAG, "true", "Log the text of commands, which may hold secrets; else only the program's name."
    )
    access_log: float = variable(
        "ACCESS_LOG",
        number(0, 1),
        "0.001",
        "The part of preview requests that is logged beyond ACCESS_LOG_RATE; 1: all, 0: only failures and upgrades.",
    )
    access_log_rate: int = variable(
        "ACCESS_LOG_RATE",
        whole(0, 1_000_000),
        "20",
        "Preview requests a second, and failures and upgrades, that are logged before ACCESS_LOG leaves any out.",
    )
