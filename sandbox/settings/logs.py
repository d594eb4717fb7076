"""What is logged."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Logs:
    """What is logged."""

    log_commands: bool = variable(
        "LOG_COMMANDS", FLAG, "true", "Log the text of commands, which may hold secrets; else only the program's name."
    )
