"""Checks of the daemon's variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from sandbox.cli.doctor.finding import Finding, failed, ok, warning
from sandbox.settings import STRONG, SettingError, Settings, parse, variables, weak_secrets
from sandbox.settings.env_file import Assignment, read_env_file
from sandbox.settings.unknown import Unknown

_KEY = "INTERNAL_SERVICE_KEY"
_NEW_KEY = f"Make one: export {_KEY}=$(openssl rand -hex 32)"


def read_environment_file(path: Path) -> dict[str, Assignment]:
    """Read a file for systemd's ``EnvironmentFile=`` or ``twistd sandbox --env-file``.

    :raises OSError: when it cannot be read.
    :raises ValueError: naming the line that is wrong.
    """
    return read_env_file(path.read_text("utf-8"))


def settings_of(environment: Mapping[str, str], key: str | None) -> tuple[Settings, list[SettingError]]:
    """Return the settings and all errors in them; invalid variables count as unset, so that other checks can run.

    :param key: the clients' key, used where the environment has none.
    """
    usable = {_KEY: key or "-", **{name: value for name, value in environment.items() if value}}
    errors: list[SettingError] = []
    while True:
        try:
            return parse(usable), errors
        except SettingError as error:
            errors.append(error)
            name = str(error).split()[0]
            if name in usable:
                del usable[name]
            else:
                # A variable required by others: unset those.
                asking = {word for word in re.findall(r"[A-Z][A-Z_]+", str(error)) if word in usable}
                usable = {name: value for name, value in usable.items() if name not in asking}
            usable.setdefault(_KEY, "-")


def check_settings(errors: list[SettingError], unknown: Sequence[Unknown] = ()) -> Iterator[Finding]:
    """Check that every variable is valid, and every name is known."""
    for error in errors:
        yield failed("settings", str(error), "Correct it; `twistd sandbox --help` explains every variable.")
    for each in unknown:
        fix = "Correct the name, or take it out: the daemon ignores it. `twistd sandbox --help` has every variable."
        yield warning("settings", str(each), fix)
    if not errors:
        yield ok("settings", f"all {len(variables())} variables are valid")


def check_key(environment: Mapping[str, str], settings: Settings, key: str | None) -> Iterator[Finding]:
    """Check that the service key and the other secrets are set and long enough."""
    own = environment.get(_KEY)
    found = own or key
    if found is None:
        yield failed("key", f"{_KEY} is not set: the daemon does not start, and clients are refused", _NEW_KEY)
    elif own and key and own != key:
        fix = "Give both the same; the variable overrides the configuration file."
        yield failed("key", "the daemon's key and the clients' are different ones", fix)
    elif len(found.encode("utf-8", "surrogateescape")) < STRONG:
        yield warning("key", f"{_KEY} has less than {STRONG} bytes: it can be guessed", _NEW_KEY)
    else:
        yield ok("key", f"{_KEY} is set")
    for name in weak_secrets(settings):
        yield warning(
            "key", f"{name} has less than {STRONG} bytes: it can be guessed", "openssl rand -hex 32 makes one."
        )
