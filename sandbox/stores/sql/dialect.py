"""What differs between databases in the SQL that all of them run."""

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
    """How a database wants statements and moments.

    :ivar placeholder: what stands for a value in a statement.
    :ivar encode: a moment as the database keeps it.
    :ivar decode: the opposite, in UTC.
    """

    placeholder: str
    encode: Callable[[datetime], object]
    decode: Callable[[Any], datetime]

    def sql(self, statement: str) -> str:
        """A statement whose values are written ``?``, as the database's driver wants it."""
        return statement if self.placeholder == "?" else _translated(statement, self.placeholder)


@cache
def _translated(statement: str, placeholder: str) -> str:
    return statement.replace("?", placeholder)


def _number(moment: datetime) -> int:
    return (utc(moment) - _EPOCH) // _MICROSECOND


def _moment(number: int) -> datetime:
    return _EPOCH + number * _MICROSECOND


#: Microseconds since 1970 in UTC: they sort, and nothing is lost.
SQLITE = Dialect("?", _number, _moment)
POSTGRES = Dialect("%s", utc, lambda moment: moment.astimezone(UTC))


class Connection(Protocol):
    """A connection on which a transaction runs its statements.

    :ivar dialect: that of its database.
    """

    @property
    def dialect(self) -> Dialect: ...

    async def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement and say how many rows it changed."""

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Run a statement and answer its rows."""
