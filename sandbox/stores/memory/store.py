"""In-memory implementation of the store, for tests and experiments."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar

from twisted.internet.defer import Deferred, execute, fail, succeed
from zope.interface import implementer

from sandbox.net.instruments import PoolUsage
from sandbox.stores.interface import IStore, Transaction, Work
from sandbox.stores.memory.links import MemoryLinks
from sandbox.stores.memory.sessions import MemorySessions
from sandbox.stores.rows import not_open
from sandbox.stores.sql.transactions import committed, run_at_once

T = TypeVar("T")


@implementer(IStore)
class MemoryStore:
    """A store whose rows live as long as the object, across :meth:`close` and :meth:`open`."""

    read_only = False

    def __init__(self) -> None:
        self._open = False
        self._instance = secrets.token_hex(6)
        self._links = MemoryLinks()
        self._sessions = MemorySessions(self._links)

    @property
    def workers(self) -> PoolUsage:
        return PoolUsage(0)

    def open(self) -> Deferred[None]:
        self._open = True
        return succeed(None)

    def acquire_lease(self) -> Deferred[None]:
        return self._call(lambda: None)

    def close(self) -> Deferred[None]:
        self._open = False
        return succeed(None)

    def ping(self) -> Deferred[None]:
        return self._call(lambda: None)

    def instance(self) -> Deferred[str]:
        return self._call(lambda: self._instance)

    def transaction(self, name: str, work: Work[T], *, erases: bool = False) -> Deferred[T]:
        return self._call(lambda: self._run(work))

    def read(self, name: str, work: Work[T]) -> Deferred[T]:
        return self._call(lambda: self._run(work))

    def _call(self, work: Callable[[], T]) -> Deferred[T]:
        return execute(work) if self._open else fail(not_open())

    def _run(self, work: Work[T]) -> T:
        transaction = Transaction(sessions=self._sessions, links=self._links)
        before = dict(self._sessions.rows), dict(self._links.rows)
        try:
            result = run_at_once(work(transaction))
        except BaseException:
            self._sessions.rows, self._links.rows = before
            raise
        committed(transaction)
        return result
