"""A store's aggregates, each method a transaction of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from sandbox.domain.model import Phase
from sandbox.stores.interface import IStore, Transaction

_READS = {"get", "page", "owner", "get_link"}


class Aggregates:
    """``add``, ``get`` … of sessions, and ``add_link`` … of links, by the names that transactions are counted as."""

    def __init__(self, store: IStore) -> None:
        self._store = store

    def __getattr__(self, name: str) -> Callable[..., Deferred[Any]]:
        method = {"remove_expired_links": "remove_expired"}.get(name, name.removesuffix("_link"))
        aggregate = "links" if "link" in name else "sessions"

        def call(*arguments: Any) -> Deferred[Any]:
            def work(tx: Transaction) -> Any:
                return getattr(getattr(tx, aggregate), method)(*arguments)

            if name in _READS:
                return self._store.read(name, work)
            dooms = name == "replace" and getattr(arguments[0], "phase", None) is Phase.DELETING
            return self._store.transaction(name, work, erases=dooms or method == "remove")

        return call


def using(store: IStore) -> Aggregates:
    """A store's aggregates."""
    return Aggregates(store)
