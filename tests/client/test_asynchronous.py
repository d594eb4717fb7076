"""The client that gives Deferreds."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from sandbox.client import AsyncClient
from tests.api.stage import KEY, ApiCase
from tests.contracts.client_endpoints import ClientEndpointsMixin
from tests.contracts.client_wire import ClientWireMixin
from tests.gateway.wires import until


class _Face:
    def client(self, url: str, key: str = KEY, **options: Any) -> AsyncClient:
        self.urls = [*getattr(self, "urls", []), url]
        return AsyncClient(reactor, url, key, **options)

    def do(self, name: str, *args: Any, client: AsyncClient | None = None, **kwargs: Any) -> Deferred[Any]:
        result = getattr(client or self.client(self.base), name)(*args, **kwargs)
        assert isinstance(result, Deferred)
        return result


class Endpoints(_Face, ClientEndpointsMixin, ApiCase):
    def every(self, **how: Any) -> Deferred[list[Any]]:
        async def collect() -> list[Any]:
            return [one async for one in self.client(self.base).iterate_sessions(**how)]

        return Deferred.fromCoroutine(collect())

    async def test_an_agent_with_a_pool_reuses_its_connection(self) -> None:
        pool = HTTPConnectionPool(reactor)
        client = self.client(self.base, agent=Agent(reactor, pool=pool))
        connections = []
        self.site.buildProtocol, build = (
            lambda address: connections.append(address) or build(address),
            (self.site.buildProtocol),
        )
        for _ in range(3):
            await client.list_sessions()
        await pool.closeCachedConnections()
        self.assertEqual(len(connections), 1)


class Wire(_Face, ClientWireMixin, TestCase):
    timeout = 20

    async def test_cancelling_closes_the_connection(self) -> None:
        for data in (b"", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{"):
            peers: list[Any] = []

            class Peer(Protocol):
                lost = False

                def dataReceived(self, received: bytes, data: bytes = data, peers: list[Any] = peers) -> None:
                    self.transport.write(data)
                    peers.append(self)

                def connectionLost(self, reason: object = None) -> None:
                    self.lost = True

            port = reactor.listenTCP(0, Factory.forProtocol(Peer), interface="127.0.0.1")
            self.addCleanup(port.stopListening)
            result = self.client(f"http://127.0.0.1:{port.getHost().port}").get_session("s1")
            await until(lambda peers=peers: peers)
            result.cancel()
            await self.assertFailure(result, CancelledError)
            await until(lambda peers=peers: peers[0].lost)
