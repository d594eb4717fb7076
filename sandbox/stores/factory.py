"""Which store a ``DATABASE_URL`` means."""

from __future__ import annotations

import os.path
from typing import Any

from sandbox.settings import Settings
from sandbox.stores.interface import ISessionStore
from sandbox.stores.sqlite import SqliteStore


def make_store(settings: Settings, reactor: Any) -> ISessionStore:
    """The store that the settings ask for, not yet open.

    A path in ``sqlite:///PATH`` that is relative (``sqlite:///sandbox.db``) is under the state directory, whatever
    directory the daemon was started in; an absolute one has four slashes.
    """
    path = os.path.expanduser(settings.database.removeprefix("sqlite:///"))
    path = os.path.abspath(os.path.join(settings.state_directory, path))
    return SqliteStore(
        reactor,
        path,
        threads=settings.database_pool,
        queue=settings.database_queue,
        timeout=settings.database_timeout,
    )
