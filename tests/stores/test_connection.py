"""One connection to PostgreSQL, with a server that lets go of it at bad moments."""

from __future__ import annotations

import os
import struct
from typing import Any

import psycopg2
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from sandbox.stores.postgres.connection import Connection
from tests.waiting import until

reactor: Any = _reactor

SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROMISE, REFUSE = b"S", b"N"


def message(kind: bytes, content: bytes) -> bytes:
    """A message of the protocol, version 3."""
    return kind + struct.pack("!i", 4 + len(content)) + content


WELCOME = b"".join(
    (
        message(b"R", struct.pack("!i", 0)),
        message(b"S", b"client_encoding\0UTF8\0"),
        message(b"S", b"DateStyle\0ISO, MDY\0"),
        message(b"S", b"server_version\x0015.0\0"),
        message(b"Z", b"I"),
    )
)


def fatal(words: bytes) -> bytes:
    """An ErrorResponse, by which a server ends a connection."""
    return message(b"E", b"SFATAL\0VFATAL\0C57P03\0M" + words + b"\0\0")


class Server(Protocol):
    """Asked for encryption it says ``encryption`` and hangs up; asked without, ``answer``.

    A broken promise of encryption makes libpq try again without.

    :ivar received: what it has not answered.
    """

    def __init__(self, encryption: bytes, answer: bytes, stay: bool) -> None:
        self._encryption, self._answer, self._stay = encryption, answer, stay
        self.received = b""
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        transport: Any = self.transport
        if self.received == SSL_REQUEST:
            transport.write(self._encryption)
            if self._encryption == REFUSE:
                transport.abortConnection()
            else:
                transport.loseConnection()
        elif len(self.received) >= 8 and len(self.received) >= struct.unpack("!i", self.received[:4])[0]:
            self.received = b""
            transport.write(self._answer)
            if not self._stay:
                transport.loseConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.lost.callback(None)


class Ends(TestCase):
    timeout = 120

    def setUp(self) -> None:
        self.servers: list[Server] = []
        self.before = self.descriptors()

    def descriptors(self) -> set[str]:
        """What is open, by what it is: sockets have names of their own."""
        found = set()
        for number in os.listdir("/proc/self/fd"):
            try:
                found.add(os.readlink(f"/proc/self/fd/{number}"))
            except FileNotFoundError:
                continue
        return {name for name in found if name.startswith("socket:")}

    async def connecting(
        self, answer: bytes, stay: bool, encryption: bytes = PROMISE
    ) -> tuple[Connection, Deferred[Any]]:
        server = Factory()

        def build(address: Any) -> Server:
            self.servers.append(Server(encryption, answer, stay))
            return self.servers[-1]

        server.buildProtocol = build  # type: ignore[method-assign,assignment]
        port = reactor.listenTCP(0, server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        connection = Connection(reactor)
        self.addCleanup(connection.close)
        return connection, connection.connect(
            host="db.example", hostaddr="127.0.0.1", port=str(port.getHost().port), user="u", sslmode="prefer"
        )

    async def assert_nothing_left(self) -> None:
        for server in self.servers:
            await server.lost
        await deferLater(reactor, 0)
        # A number in the reactor's books without its socket would make the next socket of that number deaf.
        self.assertEqual(reactor._reads | reactor._writes, set(reactor._selectables))
        self.assertNotIn(True, [isinstance(each, Connection) for each in reactor._selectables.values()])
        ours = self.descriptors() - self.before
        self.assertLessEqual(len(ours), 1, ours)  # the server's port

    async def test_refused_after_another_socket_was_taken(self) -> None:
        connection, connecting = await self.connecting(fatal(b"in recovery mode"), stay=False)
        await self.assertFailure(connecting, psycopg2.OperationalError)
        self.assertEqual(len(self.servers), 2)
        connection.close()
        self.assertEqual(connection.fileno(), -1)
        await self.assert_nothing_left()

    async def test_reset_when_it_is_about_to_write(self) -> None:
        connection, connecting = await self.connecting(b"", stay=False, encryption=REFUSE)
        await self.assertFailure(connecting, psycopg2.OperationalError)
        connection.close()
        await self.assert_nothing_left()

    async def test_refused_when_it_is_about_to_write(self) -> None:
        connection, connecting = await self.connecting(b"", stay=False, encryption=REFUSE + fatal(b"in recovery mode"))
        await self.assertFailure(connecting, psycopg2.OperationalError)
        connection.close()
        await self.assert_nothing_left()

    async def test_hung_up_on_without_a_word_after_another_socket_was_taken(self) -> None:
        connection, connecting = await self.connecting(b"", stay=False)
        await self.assertFailure(connecting, psycopg2.OperationalError)
        connection.close()
        await self.assert_nothing_left()

    async def test_connected_on_another_socket_it_notices_its_end_while_idle(self) -> None:
        connection, connecting = await self.connecting(WELCOME, stay=True)
        await connecting
        self.assertTrue(connection.usable)
        self.servers[-1].transport.loseConnection()  # type: ignore[union-attr]
        await self.servers[-1].lost
        await until(lambda: not connection.usable)
        await self.assert_nothing_left()

    async def test_closed_while_it_connects(self) -> None:
        connection, connecting = await self.connecting(b"", stay=True)
        await until(lambda: len(self.servers) == 2)
        connection.close()
        await self.assertFailure(connecting, Exception)
        await self.assert_nothing_left()

    async def test_closed_while_a_query_runs(self) -> None:
        connection, connecting = await self.connecting(WELCOME, stay=True)
        await connecting
        asked = connection.runQuery("SELECT 1")
        await until(lambda: self.servers[-1].received)
        connection.close()
        await self.assertFailure(asked, Exception)
        connection.close()
        await self.assert_nothing_left()

    async def test_hung_up_on_while_a_query_runs(self) -> None:
        connection, connecting = await self.connecting(WELCOME, stay=True)
        await connecting
        asked = connection.runQuery("SELECT 1")
        await until(lambda: self.servers[-1].received)
        self.servers[-1].transport.loseConnection()  # type: ignore[union-attr]
        await self.assertFailure(asked, psycopg2.Error)
        self.assertFalse(connection.usable)
        connection.close()
        await self.assert_nothing_left()
