"""Sessions on a network without a way out have no way out by DNS, either (F49), on an engine of our own.

Its host's resolver is on loopback, which engines before the fix of CVE-2024-29018 ask for containers of any network.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.domain.model import ContainerSpec, ExecSpec
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from tests.engine import BUSYBOX
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.site import Site

#: Says that it listens, then the bytes of each question, and answers that the name is there.
RESOLVER = """
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
print("ready", flush=True)
while True:
    question, client = server.recvfrom(512)
    print(question, flush=True)
    head = question[:2] + bytes([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0])
    server.sendto(head + question[12:] + bytes([0xC0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 9]), client)
"""


class InternalNetworkTests(TestCase):
    """One engine, with a resolver that notes what it is asked."""

    timeout = 180

    async def setUp(self) -> None:
        self.engine = PrivateEngine(resolver="127.0.0.1")
        self.addCleanup(deferToThread, self.engine.close)
        await deferToThread(self.engine.start)
        self.resolver = self.engine.inside([sys.executable, "-c", RESOLVER])
        self.addCleanup(self.resolver.wait)
        self.addCleanup(self.resolver.kill)
        assert self.resolver.stdout is not None
        self.assertEqual(await deferToThread(self.resolver.stdout.readline), b"ready\n")
        self.site = await deferToThread(Site, self.engine.url)
        self.addCleanup(deferToThread, self.site.close)

    def asked(self) -> bytes:
        """What the resolver was asked."""
        self.resolver.kill()
        assert self.resolver.stdout is not None
        return self.resolver.stdout.read()

    async def look_up(self, **settings: str) -> Any:
        """Have a session look a name up."""
        runtime = DockerRuntime(reactor, self.site.settings(**settings), self.site.instance, Scheduler(reactor))
        self.addCleanup(runtime.close)
        await runtime.open()
        container = await runtime.create(ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX))
        command = ExecSpec(argv=[b"/bin/nslookup", b"secret.example.com"], timeout_ms=60_000)
        return await runtime.execute(container, command)

    async def test_f49_a_session_on_an_internal_network_resolves_nothing_from_outside(self) -> None:
        result = await self.look_up(SESSION_NETWORK_INTERNAL="true")
        self.assertNotEqual(result.exit_code, 0)
        self.assertNotIn(b"192.0.2.9", result.stdout)
        self.assertEqual(await deferToThread(self.asked), b"")

    async def test_other_sessions_do(self) -> None:
        result = await self.look_up()
        self.assertIn(b"192.0.2.9", result.stdout, result)
        self.assertIn(b"secret", await deferToThread(self.asked))
