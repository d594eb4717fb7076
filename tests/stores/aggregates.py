"""A store's aggregates, each method a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from sandbox.stores.interface import IStore

_READS = {"get", "page", "owner", "get_link"}


class Aggregates:
    """``add``, ``get`` … of sessions, and ``add_link`` … of links, by the names that transactions are counted as."""

    def __init__(self, store: IStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Deferred[Any]]:
        method = {"remove_expired_links": "remove_expired"}.get(name, name.removesuffix("_link"))
        aggregate = "links" if "link" in name else "sessions"
        run = self._store.read if name in _READS else self._store.transaction
        return lambda *arguments: run(name, lambda tx: getattr(getattr(tx, aggregate), method)(*arguments))


def using(store: IStore) -> Aggregates:
    """A store's aggregates."""
    return Aggregates(store)
