"""Reload: which new settings apply to a running daemon. Pure."""

from __future__ import annotations

import attrs

from sandbox.settings import GROUPS, Settings, check
from sandbox.settings.variable import declared


@attrs.frozen
class Change:
    """Result of a reload.

    :ivar settings: the settings in force.
    :ivar taken: the variables that were changed.
    :ivar waiting: the variables whose new values apply only after a restart.
    """

    settings: Settings
    taken: tuple[str, ...]
    waiting: tuple[str, ...]


def change(old: Settings, new: Settings) -> Change:
    """Apply those of the new settings that a running daemon can change.

    :raises SettingError: when they conflict with the settings that remain.
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
