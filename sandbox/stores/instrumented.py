"""Decorator that records call statistics of a store."""

from __future__ import annotations

from collections import defaultdict
from time import monotonic
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from sandbox.domain.errors import Overloaded, StoreUnavailable
from sandbox.net.instruments import CallStats, PoolUsage
from sandbox.stores.interface import IStore, Work

T = TypeVar("T")


@implementer(IStore)
class InstrumentedStore:
    """Delegates every call to a store, and records its duration and errors.

    Expected outcomes (the id is taken, there is no such session) are not counted as errors.

    :ivar calls: statistics by name of transaction or method.
    """

    def __init__(self, store: IStore) -> None:
        self._store = store
        self.calls: defaultdict[str, CallStats] = defaultdict(CallStats)

    @property
    def read_only(self) -> bool:
        """As ``IStore.read_only``."""
        return bool(self._store.read_only)

    @property
    def workers(self) -> PoolUsage:
        """As ``IStore.workers``."""
        found: PoolUsage = self._store.workers
        return found

    def open(self) -> Deferred[None]:
        return self._counted("open", self._store.open())

    def acquire_lease(self) -> Deferred[None]:
        return self._counted("claim", self._store.acquire_lease())

    def close(self) -> Deferred[None]:
        return self._store.close()

    def ping(self) -> Deferred[None]:
        return self._counted("ping", self._store.ping())

    def instance(self) -> Deferred[str]:
        return self._counted("instance", self._store.instance())

    def transaction(self, name: str, work: Work[T], *, erases: bool = False) -> Deferred[T]:
        return self._counted(name, self._store.transaction(name, work, erases=erases))

    def read(self, name: str, work: Work[T]) -> Deferred[T]:
        return self._counted(name, self._store.read(name, work))

    def _counted(self, name: str, work: Deferred[T]) -> Deferred[T]:
        calls, begun = self.calls[name], monotonic()

        def count(result: Any) -> Any:
            calls.durations.add(monotonic() - begun)
            if isinstance(result, Failure):
                if result.check(StoreUnavailable):
                    calls.errors["unavailable"] += 1
                elif result.check(Overloaded):
                    calls.errors["too many"] += 1
            return result

        return work.addBoth(count)
