"""Differences between the SQL databases."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Protocol

import attrs

from sandbox.stores.rows import utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Rows = Sequence[Sequence[Any]]


@attrs.frozen
class Dialect:
    """Syntax of placeholders and representation of timestamps in a database.

    :ivar placeholder: the driver's placeholder of a value in a statement.
    :ivar encode: converts a moment for the database.
    :ivar decode: converts it back, in UTC.
    """

    placeholder: str
    encode: Callable[[datetime], object]
    decode: Callable[[Any], datetime]

    def sql(self, statement: str) -> str:
        """Translate the ``?`` placeholders of a statement for the database's driver."""
        return statement if self.placeholder == "?" else _translated(statement, self.placeholder)


@cache
def _translated(statement: str, placeholder: str) -> str:
    return statement.replace("?", placeholder)


def _number(moment: datetime) -> int:
    return (utc(moment) - _EPOCH) // _MICROSECOND


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


#: Microseconds since 1970 in UTC: sortable, and exact.
SQLITE = Dialect("?", _number, _moment)
POSTGRES = Dialect("%s", utc, lambda moment: moment.astimezone(UTC))


class Connection(Protocol):
    """A connection on which a transaction runs its statements.

    :ivar dialect: dialect of its database.
    """

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return the number of rows it changed."""

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Run a statement and return its rows."""
