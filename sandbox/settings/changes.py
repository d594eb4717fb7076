"""What becomes of new settings while the daemon runs. Pure."""

from __future__ import annotations

import attrs

from sandbox.settings import GROUPS, Settings, check
from sandbox.settings.variable import declared


@attrs.frozen
class Change:
    """What follows from settings that were read anew.

    :ivar settings: what is in force now.
    :ivar taken: the variables that changed.
    :ivar waiting: the variables that would change, but only at the next start.
    """

    settings: Settings
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def change(old: Settings, new: Settings) -> Change:
    """Take from new settings what a running daemon can.

    :raises SettingError: when it does not agree with what has to stay.
    """
    taken: dict[str, str] = {}
    waiting: list[str] = []
    for field, variable in ((field, each) for group in GROUPS for field, each in declared(group).items()):
        if getattr(old, field) != getattr(new, field):
            if variable.live:
                taken[field] = variable.name
            else:
                waiting.append(variable.name)
    settings = attrs.evolve(old, **{field: getattr(new, field) for field in taken})
    check(settings)
    return Change(settings, tuple(taken.values()), tuple(waiting))
