"""Detection of unknown, probably mistyped, variables. Pure."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

import attrs

from sandbox.settings import variables
from sandbox.settings.env_file import Assignment

#: Other readers of the same file or environment: the ``sandbox`` command, libpq, Python, OpenSSL, the C library.
_OTHERS = re.compile(
    r"SANDBOX_(URL|PUBLIC_URL|USER|CONFIG)|PG[A-Z]+|PYTHON[A-Z0-9]+|SSL_CERT_(FILE|DIR)"
    r"|PATH|HOME|TMPDIR|TZ|LANG|LC_[A-Z]+"
)
#: Minimum similarity (difflib's ratio) of a name to a variable. Every name in the daemon's own file is meant for the
#: daemon; most names in the environment are for other programs, such as SESSION_MANAGER (0.86).
_IN_FILE, _IN_ENVIRONMENT = 0.7, 0.9
#: Maximum number of reported names: a file of another kind may have any number.
_MOST = 20


@attrs.frozen
class Unknown:
    """A name that is not a variable of the daemon.

    :ivar where: the file and line, or ``""`` for the environment.
    :ivar meant: the most similar variable, or ``None``.
    """

    name: str
    where: str
    meant: str | None

    def __str__(self) -> str:
        """One sentence, for the log."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}unknown variable {self.name}" + (f": did you mean {self.meant}?" if self.meant else "")


def unknown_in_file(file: Mapping[str, Assignment], path: str) -> list[Unknown]:
    """Return the unknown variables of a file.

    >>> [str(each) for each in unknown_in_file({"SESION_IMAGE": Assignment("x", 3), "NAME": Assignment("y", 4)}, "f")]
    ['f: line 3: unknown variable SESION_IMAGE: did you mean SESSION_IMAGE?', 'f: line 4: unknown variable NAME']
    """
    found = _unknown(file, _IN_FILE)[:_MOST]
    return [Unknown(name, f"{path}: line {file[name].line}", meant) for name, meant in found]


def unknown_in_environment(environment: Iterable[str]) -> list[Unknown]:
    """Return the names in an environment that look like mistyped variables.

    >>> [str(each) for each in unknown_in_environment(["SESION_IMAGE", "SESSION_MANAGER", "NAME", "PORT"])]
    ['unknown variable SESION_IMAGE: did you mean SESSION_IMAGE?']
    """
    return [Unknown(name, "", meant) for name, meant in _unknown(environment, _IN_ENVIRONMENT) if meant][:_MOST]


def _unknown(names: Iterable[str], likeness: float) -> list[tuple[str, str | None]]:
    known = [variable.name for variable in variables()]
    others = [name for name in names if name not in known and not _OTHERS.fullmatch(name)]
    close = (difflib.get_close_matches(name.upper(), known, n=1, cutoff=likeness) for name in others)
    return [(name, matches[0] if matches else None) for name, matches in zip(others, close, strict=True)]
