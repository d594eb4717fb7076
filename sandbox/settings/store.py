"""Database of sessions."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, database, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Store:
    """Database of sessions."""

    database_url: str | None = variable(
        "DATABASE_URL",
        (database, "sqlite:///PATH or postgresql://USER@HOST/NAME"),
        None,
        "The database of sessions; unset: sandbox.db (SQLite) in the state directory.",
        secret=True,
    )
    database_pool: int = variable(
        "DATABASE_POOL", whole(1, 64), "4", "Maximum of connections to the database (SQLite: threads)."
    )
    database_queue: int = variable(
        "DATABASE_QUEUE", whole(1, 100_000), "512", "Database calls that may wait for a connection; beyond it 503."
    )
    database_timeout: float = variable(
        "DATABASE_TIMEOUT",
        number(0.1, 600),
        "5",
        "Timeout in seconds of a database call, including queue and connecting; beyond it 503.",
    )
    database_write_check: float = variable(
        "DATABASE_WRITE_CHECK",
        number(1, 3600),
        "10",
        "Seconds at least between the writes by which /readyz finds out whether the database can be written.",
    )
    database_reserve_mb: int = variable(
        "DATABASE_RESERVE_MB",
        whole(0, 1024),
        "8",
        "MiB kept free beside a SQLite database, so that sessions can be deleted when its disk is full; 0: none.",
    )
    sessions_read_only: bool = variable(
        "SESSIONS_READ_ONLY",
        FLAG,
        "false",
        "Read ownership from a platform's own sessions(id, user_id) table (postgresql:// only) and write nothing.",
    )
