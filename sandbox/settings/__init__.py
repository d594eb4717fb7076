"""Settings: every variable declared once, parsed once, then frozen. Pure: the environment is passed in.

Each module declares a group of variables; :class:`Settings` combines them. Contract section 1 fixes the names of the
first eight.
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
    """The daemon's configuration."""

    @property
    def database(self) -> str:
        """The database's URL, by default the embedded one; a relative path is in the state directory."""
        return self.database_url or "sqlite:///sandbox.db"

    @property
    def jwt_secrets(self) -> tuple[bytes, ...]:
        """The secrets of :attr:`jwt_secret`, newest first; none when it is unset."""
        return split_secrets(self.jwt_secret) if self.jwt_secret else ()


def variables() -> list[Variable]:
    """Return every variable, in the order of help and example."""
    return [each for group in GROUPS for each in declared(group).values()]


def weak_secrets(settings: Settings) -> list[str]:
    """Return the variables with secrets short enough to be brute-forced from a signature."""
    return ["JWT_SECRET"] if any(len(secret) < STRONG for secret in settings.jwt_secrets) else []


def parse(environment: Mapping[str, str]) -> Settings:
    """Parse settings from an environment. An empty variable counts as unset.

    :raises SettingError: naming the first variable that is missing or wrong.
    """
    fields = {name: each for group in GROUPS for name, each in declared(group).items()}
    settings = Settings(**{name: each.read(environment) for name, each in fields.items()})
    check(settings)
    return attrs.evolve(settings, state_directory=os.path.expanduser(settings.state_directory))


def check(settings: Settings) -> None:
    """Check constraints between variables.

    :raises SettingError: naming the first violation.
    """
    if settings.enable_preview_access_control and not settings.jwt_secret:
        raise SettingError("JWT_SECRET is required when ENABLE_PREVIEW_ACCESS_CONTROL is true: set it to " + TEXT[1])
    if settings.sessions_read_only and settings.database.startswith("sqlite:"):
        raise SettingError("SESSIONS_READ_ONLY needs DATABASE_URL to be postgresql://USER@HOST/NAME")
    for what in ("memory_mb", "cpus"):
        if getattr(settings, f"session_{what}") > getattr(settings, f"session_{what}_max"):
            raise SettingError(f"SESSION_{what.upper()} must not be more than SESSION_{what.upper()}_MAX")
