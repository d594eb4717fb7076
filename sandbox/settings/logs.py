"""Logging: format, level, access log."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, choice, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Logs:
    """Logging: format, level, access log."""

    log_format: str = variable(
        "LOG_FORMAT",
        choice("auto", "text", "json"),
        "auto",
        "Format of log lines; auto: text on a terminal, otherwise one JSON object a line.",
    )
    log_level: str = variable(
        "LOG_LEVEL",
        choice("debug", "info", "warn", "error", "critical"),
        "info",
        "The lowest level that is logged.",
        live=True,
    )
    log_commands: bool = variable(
        "LOG_COMMANDS",
        FLAG,
        "true",
        "Log the text of commands, which may contain secrets; false: only the program's name.",
    )
    access_log: float = variable(
        "ACCESS_LOG",
        number(0, 1),
        "0.001",
        "Fraction of preview requests logged beyond ACCESS_LOG_RATE; 1: all, 0: only failures and upgrades.",
    )
    access_log_rate: int = variable(
        "ACCESS_LOG_RATE",
        whole(0, 1_000_000),
        "20",
        "Preview requests logged per second, and as many failures and upgrades, before ACCESS_LOG applies.",
    )
