"""Prints ``etc/sandbox.env.example``: every variable with its help.

python -m sandbox.settings.example > etc/sandbox.env.example
"""

from __future__ import annotations

import sys
import textwrap

from sandbox.settings import GROUPS, REQUIRED
from sandbox.settings.variable import Variable, declared

_HEAD = """\
# Every variable of the daemon. Under systemd this is /etc/sandbox/sandbox.env: owned by the daemon's user, and readable
# by that user only. Lines are NAME=VALUE; quotes and backslashes have the meaning of systemd's EnvironmentFile=, and a
# comment is a line of its own. The value of a variable that is commented out is its default.
#
# `systemctl reload sandbox` applies new values of the variables that say so; others need `systemctl restart sandbox`.
"""


def _comment(text: str) -> str:
    return textwrap.fill(text, 118, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _entry(variable: Variable) -> str:
    required = variable.default is REQUIRED
    words = [variable.help, f"Accepts {variable.accepts}{'; required' if required else ''}."]
    if variable.live:
        words.append("Applied at a reload.")
    assignment = f"{variable.name}=" if required else f"#{variable.name}={variable.default or ''}"
    return f"{_comment(' '.join(words))}\n{assignment}\n"


def example() -> str:
    """Return the text of the example file."""
    parts = [_HEAD]
    for group in GROUPS:
        title = (group.__doc__ or "").strip().splitlines()[0]
        parts.append(f"\n# {'-' * 4} {title}\n\n" + "\n".join(map(_entry, declared(group).values())))
    return "".join(parts)


if __name__ == "__main__":
    sys.stdout.write(example())
