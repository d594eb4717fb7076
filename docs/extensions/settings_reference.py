"""``{settings}``: every variable, by group, as `sandbox.settings` declares it."""

from __future__ import annotations

import inspect
import re

from pages import Generated
from sphinx.application import Sphinx

from sandbox.settings import GROUPS, REQUIRED, Variable
from sandbox.settings.variable import declared


class Settings(Generated):
    """A heading a group, an entry a variable."""

    def lines(self) -> list[str]:
        """What each means, what it accepts, and what it is when it is unset."""
        lines: list[str] = []
        for group in GROUPS:
            summary = inspect.cleandoc(group.__doc__ or group.__name__).splitlines()[0]
            title = re.split("[:,.]", summary)[0]
            lines += [f"## {title}", "", summary if len(summary) > len(title) + 1 else "", ""]
            for each in declared(group).values():
                lines += [
                    f"```{{envvar}} {each.name}",
                    f"{each.help} Accepts {each.accepts}. {_default(each)}",
                    "```",
                    "",
                ]
        return lines


def _default(each: Variable) -> str:
    if each.default is REQUIRED:
        text = "**Required.**"
    else:
        text = f"Default: `{each.default}`." if each.default else "Unset by default."
    return text + (" A secret: never shown." if each.secret else "") + (" Applied at SIGHUP." if each.live else "")


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx asks for it."""
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}
