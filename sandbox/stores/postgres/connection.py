"""One connection to PostgreSQL: txpostgres's, watched through a descriptor that is ours to close."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import psycopg2
from txpostgres.txpostgres import Connection as TxConnection
from txpostgres.txpostgres import Cursor as TxCursor

from sandbox.stores.sql.dialect import POSTGRES, Rows


class Cursor(TxCursor):  # type: ignore[misc]
    """txpostgres's cursor, which waits on its connection's descriptor."""

    def fileno(self) -> int:
        """The connection's."""
        number: int = self._connection.fileno()
        return number


class Connection(TxConnection):  # type: ignore[misc]
    """txpostgres's connection, which here also notices its death while nobody uses it.

    libpq closes its socket when the server is gone, and takes another one when it tries another address or does without
    encryption, without a word to the reactor. The number of the old socket would stay in the reactor's books: it cannot
    be removed any more, and the next connection of that number, anybody's, is never heard of. So the reactor watches a
    duplicate, which is closed when it is watched no longer.

    :ivar failed: whether a statement failed, for whatever reason: the connection is not to be used again.

    Its deferreds are never cancelled: psycopg2 would open a second connection to the server for that, and block on it.
    What takes too long is closed instead, which fails whatever waits.
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
        """Whether it is connected, as far as one can tell without asking."""
        return self._socket() >= 0

    async def execute(self, statement: str, values: Sequence[object] = ()) -> int:
        """Run a statement and say how many rows it changed."""
        cursor = await self._statement(statement, values)
        changed = int(cursor.rowcount)
        cursor.close()
        return changed

    async def query(self, statement: str, values: Sequence[object] = ()) -> Rows:
        """Run a statement and answer its rows."""
        cursor = await self._statement(statement, values)
        rows: Rows = cursor.fetchall()
        cursor.close()
        return rows

    async def _statement(self, statement: str, values: Sequence[object]) -> Any:
        try:
            # Without values psycopg2 leaves a percent sign of the statement alone.
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
        """The descriptor to watch: libpq's socket under a number that stays when libpq closes its own."""
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
        """Read what the server says unasked: when it shuts down, a last word and the end."""
        try:
            super().doRead()
        except psycopg2.Error:
            self.close()
        if not self.usable:
            # libpq read the end and let go of the socket, and told nobody.
            self.close()

    def close(self) -> None:
        """Close it, at whatever point it is."""
        if self._connection is not None:
            super().close()
            # txpostgres leaves alone what psycopg2 calls closed because it broke; its socket is still open.
            self._connection.close()
            self._unwatch()
