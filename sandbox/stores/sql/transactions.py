"""Transactions on a connection, whatever database it leads to."""

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
    """What a transaction on a connection works with."""
    return Transaction(sessions=SqlSessions(connection), links=SqlLinks(connection))


def committed(transaction: Transaction) -> None:
    """Call what was to be called after the commit; on the reactor's thread."""
    for function in transaction.after_commit:
        try:
            function()
        except Exception:
            _log.failure("what followed a transaction failed")


def run_at_once(work: Awaitable[T]) -> T:
    """The result of a coroutine that awaits only what is at hand, such as statements of this very thread.

    :raises RuntimeError: when it waits for something else.
    """
    steps = work.__await__()
    try:
        next(steps)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a transaction awaits nothing but its own statements")
