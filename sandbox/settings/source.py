"""Sources of the daemon's variables: the environment, and a file that takes precedence."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sandbox.settings import SettingError, Settings, parse
from sandbox.settings.env_file import Assignment, parse_with_file, read_env_file
from sandbox.settings.unknown import Unknown, unknown_in_environment, unknown_in_file


class Source:
    """The process's environment, and a file that overrides it and can be read again.

    systemd's ``EnvironmentFile=`` may have copied the file's variables into the environment. So a variable that the
    file contained when it was first read is taken from the file only: removing its line unsets the variable.

    :param file: a path; ``None``: only the environment, which cannot change while the process runs.
    :ivar unknown: unknown names found by the last :meth:`read`.
    """

    def __init__(self, environment: Mapping[str, str], file: str | None = None) -> None:
        self._environment = dict(environment)
        self.file = file
        self._known: frozenset[str] | None = None
        self.unknown: tuple[Unknown, ...] = ()

    def read(self) -> Settings:
        """Read the current settings. May block on the file.

        :raises SettingError: with the name of the variable, and the file and line where there is a file.
        """
        file = self._read_file(self.file) if self.file is not None else {}
        if self._known is None:
            self._known = frozenset(file)
        beside = {name: value for name, value in self._environment.items() if name not in self._known}
        unknown = (*unknown_in_file(file, self.file or ""), *unknown_in_environment(beside))
        try:
            settings = parse(beside) if self.file is None else parse_with_file(beside, self.file, file)
        except SettingError as error:
            # A missing variable may be present under a mistyped name.
            hints = [f"; {each}" for each in unknown if each.meant and each.meant in str(error).split()]
            raise SettingError(f"{error}{''.join(hints)}") from None
        self.unknown = unknown
        return settings

    def _read_file(self, path: str) -> dict[str, Assignment]:
        try:
            return read_env_file(Path(path).read_bytes().decode("utf-8"))
        except OSError as error:
            raise SettingError(f"{path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise SettingError(f"{path} is not UTF-8") from None
        except ValueError as error:
            raise SettingError(f"{path}: {error}") from None
