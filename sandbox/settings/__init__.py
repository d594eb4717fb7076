"""Settings: every variable declared once, parsed once, then frozen. Pure: the environment is passed in.

A module a group of variables; :class:`Settings` is all of them. Contract section 1 fixes the names of the first eight.
"""

from __future__ import annotations

import os.path
from collections.abc import Mapping

import attrs

from sandbox.settings.access import Access
from sandbox.settings.daemon import Daemon
from sandbox.settings.engine import Engine
from sandbox.settings.execution import Execution
from sandbox.settings.http import Http
from sandbox.settings.kinds import STRONG, TEXT, split_secrets
from sandbox.settings.logs import Logs
from sandbox.settings.previews import Previews
from sandbox.settings.sessions import Sessions
from sandbox.settings.store import Store
from sandbox.settings.variable import REQUIRED, SettingError, Variable, declared

__all__ = [
    "GROUPS",
    "REQUIRED",
    "STRONG",
    "SettingError",
    "Settings",
    "Variable",
    "check",
    "parse",
    "variables",
    "weak_secrets",
]

#: In the order in which help, examples and the reference show them.
GROUPS: tuple[type, ...] = (Daemon, Store, Engine, Sessions, Execution, Previews, Access, Http, Logs)


@attrs.frozen(kw_only=True, slots=False)
class Settings(Daemon, Store, Engine, Sessions, Execution, Previews, Access, Http, Logs):
    """What the daemon was told."""

    @property
    def database(self) -> str:
        """The database's URL, the embedded one when none was named; a relative path is under the state directory."""
        return self.database_url or "sqlite:///sandbox.db"

    @property
    def jwt_secrets(self) -> tuple[bytes, ...]:
        """The secrets of :attr:`jwt_secret`, newest first; none when it is unset."""
        return split_secrets(self.jwt_secret) if self.jwt_secret else ()


def variables() -> list[Variable]:
    """Every variable, in the order in which help and examples show them."""
    return [each for group in GROUPS for each in declared(group).values()]


def weak_secrets(settings: Settings) -> list[str]:
    """The variables whose secrets are so short that whoever sees something signed with them may guess them."""
    return ["JWT_SECRET"] if any(len(secret) < STRONG for secret in settings.jwt_secrets) else []


def parse(environment: Mapping[str, str]) -> Settings:
    """Settings from an environment. A variable that is set to nothing counts as unset.

    :raises SettingError: naming the first variable that is missing or wrong.
    """
    fields = {name: each for group in GROUPS for name, each in declared(group).items()}
    settings = Settings(**{name: each.read(environment) for name, each in fields.items()})
    check(settings)
    return attrs.evolve(settings, state_directory=os.path.expanduser(settings.state_directory))


def check(settings: Settings) -> None:
    """See that variables which depend on each other agree.

    :raises SettingError: naming the first that does not.
    """
    if settings.enable_preview_access_control and not settings.jwt_secret:
        raise SettingError("JWT_SECRET is required when ENABLE_PREVIEW_ACCESS_CONTROL is true: set it to " + TEXT[1])
    if settings.sessions_read_only and settings.database.startswith("sqlite:"):
        raise SettingError("SESSIONS_READ_ONLY needs DATABASE_URL to be postgresql://USER@HOST/NAME")
    for what in ("memory_mb", "cpus"):
        if getattr(settings, f"session_{what}") > getattr(settings, f"session_{what}_max"):
            raise SettingError(f"SESSION_{what.upper()} must not be more than SESSION_{what.upper()}_MAX")
