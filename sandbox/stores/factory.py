"""Select the store for a ``DATABASE_URL``."""

from __future__ import annotations

import os.path
from typing import Any

from sandbox.settings import Settings
from sandbox.stores.interface import IStore
from sandbox.stores.platform.store import PlatformStore
from sandbox.stores.postgres.store import PostgresStore
from sandbox.stores.sqlite.store import SqliteStore


def make_store(settings: Settings, reactor: Any) -> IStore:
    """Return the configured store, not yet open. Blocks on reading files: call it before the reactor runs.

    A relative path in ``sqlite:///PATH`` (``sqlite:///sandbox.db``) is resolved against the state directory, not the
    working directory; an absolute one has four slashes.

    :raises SettingError: for a URL that libpq cannot parse.
    """
    url, size = settings.database, settings.database_pool
    queue, timeout = settings.database_queue, settings.database_timeout
    if url.startswith("sqlite:///"):
        path = os.path.expanduser(url.removeprefix("sqlite:///"))
        path = os.path.abspath(os.path.join(settings.state_directory, path))
        return SqliteStore(
            reactor,
            path,
            threads=size,
            queue=queue,
            timeout=timeout,
            write_check=settings.database_write_check,
            reserve=settings.database_reserve_mb << 20,
        )
    if settings.sessions_read_only:
        return PlatformStore(reactor, url, size=size, queue=queue, timeout=timeout)
    return PostgresStore(
        reactor, url, size=size, queue=queue, timeout=timeout, write_check=settings.database_write_check
    )
