"""A store that counts what is asked of another one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from zope.interface import implementer

from sandbox.domain.errors import Overloaded, StoreUnavailable
from sandbox.domain.model import Link, SessionRecord
from sandbox.net.instruments import CallStats, PoolUsage
from sandbox.stores.interface import ISessionStore, Position

T = TypeVar("T")


@implementer(ISessionStore)
class InstrumentedStore:
    """Passes every call on, and counts how long its caller waits and what goes wrong.

    An answer that a rule gives (the id is taken, there is no such session) is no error.

    :ivar calls: by the name of the method.
    """

    def __init__(self, store: ISessionStore) -> None:
        self._store = store
        self.calls: defaultdict[str, CallStats] = defaultdict(CallStats)

    @property
    def read_only(self) -> bool:
        """As ``ISessionStore.read_only``."""
        return bool(self._store.read_only)

    @property
    def workers(self) -> PoolUsage:
        """As ``ISessionStore.workers``."""
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

    def add(self, record: SessionRecord) -> Deferred[None]:
        return self._counted("add", self._store.add(record))

    def get(self, session_id: str) -> Deferred[SessionRecord | None]:
        return self._counted("get", self._store.get(session_id))

    def replace(self, record: SessionRecord) -> Deferred[None]:
        return self._counted("replace", self._store.replace(record))

    def remove(self, session_id: str) -> Deferred[None]:
        return self._counted("remove", self._store.remove(session_id))

    def page(self, user_id: str | None, after: Position | None, limit: int) -> Deferred[Sequence[SessionRecord]]:
        return self._counted("page", self._store.page(user_id, after, limit))

    def owner(self, session_id: str) -> Deferred[str | None]:
        return self._counted("owner", self._store.owner(session_id))

    def add_link(self, link: Link) -> Deferred[None]:
        return self._counted("add_link", self._store.add_link(link))

    def get_link(self, link_id: str) -> Deferred[Link | None]:
        return self._counted("get_link", self._store.get_link(link_id))

    def remove_link(self, link_id: str) -> Deferred[None]:
        return self._counted("remove_link", self._store.remove_link(link_id))

    def remove_expired_links(self, now: datetime) -> Deferred[int]:
        return self._counted("remove_expired_links", self._store.remove_expired_links(now))

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
