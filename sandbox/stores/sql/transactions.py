"""Transactions on a connection to any SQL database."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

from twisted.logger import Logger

from sandbox.stores.interface import Transaction
from sandbox.stores.sql.dialect import Connection
from sandbox.stores.sql.links import SqlLinks
from sandbox.stores.sql.sessions import SqlSessions

T = TypeVar("T")
_log = Logger()


def transaction_on(connection: Connection) -> Transaction:
    """Create a transaction whose aggregates use a connection."""
    return Transaction(sessions=SqlSessions(connection), links=SqlLinks(connection))


def committed(transaction: Transaction) -> None:
    """Run the callbacks registered by ``call_after``; on the reactor's thread."""
    for function in transaction.after_commit:
        try:
            function()
        except Exception:
            _log.failure("callback after commit failed")


def run_at_once(work: Awaitable[T]) -> T:
    """Run a coroutine that never suspends, such as one whose statements block this thread, and return its result.

    :raises RuntimeError: when it suspends.
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a transaction may await only its own statements")
