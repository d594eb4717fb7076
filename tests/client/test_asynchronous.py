"""The client that gives Deferreds."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from sandbox.client import AsyncClient
from sandbox.client.errors import ConfigurationError
from tests.api.stage import KEY, ApiCase
from tests.contracts.client_endpoints import ClientEndpointsMixin
from tests.contracts.client_wire import ClientWireMixin
from tests.waiting import until


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
    timeout = 120

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


class Reactors(SynchronousTestCase):
    """F20: what cannot run the calls is refused at once, with what to do."""

    def program(self, text: str) -> str:
        """Run a program of its own, for it has another reactor; what it prints."""
        command = [sys.executable, "-P", "-c", text]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    def test_f20_no_reactor(self) -> None:
        for nothing in (None, "reactor", object()):
            with self.assertRaisesRegex(ConfigurationError, r"needs Twisted's running reactor.*react\(\)"):
                AsyncClient(nothing, "http://127.0.0.1:1", "key")

    def test_f20_a_foreign_asyncio_loop_at_construction_and_at_a_call(self) -> None:
        before = AsyncClient(reactor, "http://127.0.0.1:1", "key")

        async def construct() -> None:
            AsyncClient(reactor, "http://127.0.0.1:1", "key")

        async def call() -> None:
            await before.get_session("s1")

        async def iterate() -> None:
            async for _ in before.iterate_sessions():
                pass

        for attempt in (construct, call, iterate):
            with self.assertRaisesRegex(ConfigurationError, "asyncioreactor.install.*to_thread"):
                asyncio.run(asyncio.wait_for(attempt(), timeout=10))

    def test_f20_the_asyncio_reactor_on_another_loop(self) -> None:
        said = self.program(
            "import asyncio\n"
            "from twisted.internet import asyncioreactor\n"
            "asyncioreactor.install(asyncio.new_event_loop())\n"
            "from twisted.internet import reactor\n"
            "from sandbox.client import AsyncClient, ClientError\n"
            "async def main():\n"
            "    try:\n"
            "        AsyncClient(reactor, 'http://127.0.0.1:1', 'key')\n"
            "    except ClientError as error:\n"
            "        print(type(error).__name__)\n"
            "asyncio.run(main())\n"
        )
        self.assertEqual(said, "ConfigurationError\n")

    def test_f20_the_asyncio_reactor_on_this_loop_is_fine(self) -> None:
        said = self.program(
            "import asyncio\n"
            "from twisted.internet import asyncioreactor\n"
            "loop = asyncio.new_event_loop()\n"
            "asyncioreactor.install(loop)\n"
            "from twisted.internet.defer import Deferred\n"
            "from twisted.internet.task import react\n"
            "from sandbox.client import AsyncClient, Retries, errors\n"
            "async def main(reactor):\n"
            "    client = AsyncClient(reactor, 'http://127.0.0.1:1', 'key', retries=Retries(attempts=1))\n"
            "    try:\n"
            "        await client.get_session('s1').asFuture(loop)\n"
            "    except errors.Unreachable:\n"
            "        print('asked')\n"
            "try:\n"
            "    react(lambda reactor: Deferred.fromFuture(loop.create_task(main(reactor))))\n"
            "except SystemExit as end:\n"
            "    assert not end.code\n"
        )
        self.assertEqual(said, "asked\n")
