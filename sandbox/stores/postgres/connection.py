"""One txpostgres connection to PostgreSQL, watched by the reactor through a duplicate descriptor."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import psycopg2
from txpostgres.txpostgres import Connection as TxConnection
from txpostgres.txpostgres import Cursor as TxCursor

from sandbox.stores.sql.dialect import POSTGRES, Rows


class Cursor(TxCursor):  # type: ignore[misc]
    """txpostgres's cursor, waiting on its connection's duplicate descriptor."""

    def fileno(self) -> int:
        """The connection's descriptor."""
        number: int = self._connection.fileno()
        return number


class Connection(TxConnection):  # type: ignore[misc]
    """txpostgres's connection, extended to detect a lost connection while idle.

    libpq closes its socket when the server disconnects, and opens another one when it tries another address or falls
    back to no encryption, without notice to the reactor. The reactor would keep the old descriptor registered, could
    not remove it any more, and would miss every event of the next socket that gets the same number. So the reactor
    watches a duplicate, which is closed when it is unregistered.

    :ivar failed: whether a statement failed, for any reason: the connection must not be reused.

    Its Deferreds are never cancelled: psycopg2 would open a second connection to the server for that, and block on it.
    A timeout closes the connection instead, which fails all pending calls.
    """

    cursorFactory = Cursor
    dialect = POSTGRES

    def __init__(self, reactor: Any) -> None:
        super().__init__(reactor)
        self.failed = False
        self._watched = -1
        self._inode = 0

    @property
    def usable(self) -> bool:
        """Whether it is connected, as far as is known without a round trip."""
        return self._socket() >= 0

    async def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement and return the number of rows it changed."""
        cursor = await self._statement(statement, values)
        changed = int(cursor.rowcount)
        cursor.close()
        return changed

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Run a statement and return its rows."""
        cursor = await self._statement(statement, values)
        rows: Rows = cursor.fetchall()
        cursor.close()
        return rows

    async def _statement(self, statement: str, values: Sequence[object]) -> Any:
        try:
            # None rather than an empty tuple: psycopg2 then does not interpret percent signs.
            return await self.cursor().execute(self.dialect.sql(statement), values or None)
        except Exception:
            self.failed = True
            raise

    def _socket(self) -> int:
        """libpq's socket; -1 when there is none."""
        try:
            return -1 if self._connection is None else self._connection.fileno()
        except psycopg2.InterfaceError:
            return -1

    def fileno(self) -> int:
        """The descriptor to watch: a duplicate of libpq's socket, which stays valid when libpq closes its own."""
        socket = self._socket()
        if socket >= 0:
            inode = os.fstat(socket).st_ino
            if inode != self._inode:
                self._inode = inode
                self._unwatch()
                self._watched = os.dup(socket)
        return self._watched

    def _unwatch(self) -> None:
        if self._watched >= 0:
            self.reactor.removeReader(self)
            self.reactor.removeWriter(self)
            os.close(self._watched)
            self._watched = -1

    def doRead(self) -> None:
        """Read unsolicited data from the server, such as a notice and the end of stream at its shutdown."""
        try:
            super().doRead()
        except psycopg2.Error:
            self.close()
        if not self.usable:
            # libpq read the end of stream and closed the socket without notice.
            self.close()

    def close(self) -> None:
        """Close the connection in any state."""
        if self._connection is not None:
            super().close()
            # txpostgres ignores a connection that psycopg2 reports as closed after an error; its socket is still open.
            self._connection.close()
            self._unwatch()
