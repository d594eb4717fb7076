"""Configuration of clients, from the environment or the user's configuration file."""

from __future__ import annotations

import os
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from sandbox.client.blocking import Client
from sandbox.client.errors import ConfigurationError
from sandbox.client.origin import DEFAULT_URL

_NAMES = ("url", "public_url", "key", "user")
_VARIABLES = {
    "url": "SANDBOX_URL",
    "public_url": "SANDBOX_PUBLIC_URL",
    "key": "INTERNAL_SERVICE_KEY",
    "user": "SANDBOX_USER",
}


@attrs.frozen(kw_only=True)
class Configuration:
    """Configuration of a client.

    :ivar url: URL of the internal API.
    :ivar public_url: URL of the public listener, where different.
    :ivar key: the service key, or ``None``.
    :ivar user: default owner of new sessions.
    """

    url: str = DEFAULT_URL
    public_url: str | None = None
    key: str | None = attrs.field(default=None, repr=False)
    user: str | None = None

    def client(self) -> Client:
        """Create a client.

        :raises ConfigurationError: when the key is missing, or a value is invalid.
        """
        if self.key is None:
            raise ConfigurationError("No service key: set INTERNAL_SERVICE_KEY, or key in the configuration file")
        return Client(self.url, self.key, public_url=self.public_url)


def configuration_path(environment: Mapping[str, str]) -> Path:
    """``SANDBOX_CONFIG``, else ``sandbox/config.toml`` in the user's configuration directory.

    >>> str(configuration_path({"HOME": "/home/me"}))
    '/home/me/.config/sandbox/config.toml'
    """
    if environment.get("SANDBOX_CONFIG"):
        return Path(environment["SANDBOX_CONFIG"])
    base = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME") or "/", ".config")
    return Path(base, "sandbox", "config.toml")


def load_configuration(environment: Mapping[str, str] = os.environ) -> Configuration:
    """Load ``SANDBOX_URL``, ``SANDBOX_PUBLIC_URL``, ``INTERNAL_SERVICE_KEY`` and ``SANDBOX_USER``, with the file as
    fallback for each. An empty variable counts as unset.

    :raises ConfigurationError: when the file is invalid, or contains a key and is accessible to other users.
    """
    values = _read(configuration_path(environment))
    values |= {name: environment[variable] for name, variable in _VARIABLES.items() if environment.get(variable)}
    return Configuration(**values)


def connect(environment: Mapping[str, str] = os.environ) -> Client:
    """Create a blocking client of the configured daemon.

    :raises ConfigurationError: see :func:`load_configuration`.
    """
    return load_configuration(environment).client()


def _read(path: Path) -> dict[str, str]:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            values = tomllib.load(file)
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for name, value in values.items():
        if name not in _NAMES or not isinstance(value, str) or not value:
            raise ConfigurationError(f"{path}: {name}: the file may have {', '.join(_NAMES)}, each a text")
    if "key" in values and (status.st_uid not in (0, os.geteuid()) or stat.S_IMODE(status.st_mode) & 0o077):
        raise ConfigurationError(f"{path}: others can read or change the key in it: chmod 600 {path}")
    return values
