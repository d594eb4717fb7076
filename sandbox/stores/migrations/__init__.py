"""Schema migrations: numbered SQL files, one folder per database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib import resources

import attrs

from sandbox.settings import SettingError


@attrs.frozen
class Migration:
    """One migration. Never edited after its release: existing databases have run it.

    :ivar version: 1, 2, 3 … in order of execution; the number at the start of the file's name.
    """

    version: int
    name: str
    sql: str


def migrations(dialect: str) -> tuple[Migration, ...]:
    """Read the migrations for ``"sqlite"`` or ``"postgres"``. Blocks: call before the reactor runs or in a thread."""
    files = [file for file in (resources.files(__name__) / dialect).iterdir() if file.name.endswith(".sql")]
    steps = []
    for number, file in enumerate(sorted(files, key=lambda file: file.name), start=1):
        version, _, name = file.name.removesuffix(".sql").partition("_")
        if int(version) != number:
            raise ValueError(f"migration {file.name} should be number {number}")
        steps.append(Migration(number, name, file.read_text("utf-8")))
    return tuple(steps)


def pending(steps: Sequence[Migration], version: int | None, occupied: bool) -> Sequence[Migration]:
    """Return the migrations still to run.

    :param version: the newest migration that the database has run; ``None`` when it has no version table.
    :param occupied: whether the database has a table named ``sessions``.
    :raises SettingError: for a database that this version must not touch.
    """
    if version is None and occupied:
        raise SettingError(
            "DATABASE_URL names a database with a sessions table that is not ours: name another,"
            " or set SESSIONS_READ_ONLY=true to read the owners from it (PostgreSQL only)"
        )
    if (version or 0) > len(steps):
        raise SettingError(
            f"DATABASE_URL names a database of a newer version (its schema is {version}, this one knows {len(steps)}):"
            " upgrade sandbox, or restore the backup from before"
        )
    return steps[version or 0 :]


def statements(sql: str) -> Iterator[str]:
    """Split a file into statements, each of which ends with a semicolon at the end of a line."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        if line.lstrip().startswith("--"):
            continue
        statement += line
        if line.rstrip().endswith(";"):
            yield statement.strip()
            statement = ""
    if statement.strip():
        raise ValueError(f"a statement without its semicolon: {statement.strip()}")
