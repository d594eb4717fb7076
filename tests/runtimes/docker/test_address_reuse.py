"""An address that was handed on is never dialled for the container that had it before, on a real engine.

The network has room for one container, so each one that starts has the address of the one that stopped.
``ADDRESS_REUSE_ROUNDS`` asks for more rounds than a test run's.
"""

from __future__ import annotations

import os
import secrets
from typing import ClassVar

from docker.types import IPAMConfig, IPAMPool
from twisted.internet.defer import Deferred

from sandbox.domain.errors import SandboxError
from sandbox.domain.model import Container, ContainerSpec, Preview
from sandbox.domain.principals import ROOT
from sandbox.routing.previews import Previews
from tests.engine import BUSYBOX
from tests.runtimes.docker.site import SiteTestCase
from tests.runtimes.docker.test_walls import PORT, heard
from tests.waiting import pause

ROUNDS = int(os.environ.get("ADDRESS_REUSE_ROUNDS", "12"))


class AddressReuseTests(SiteTestCase):
    """Two sessions that take turns on one address."""

    timeout = 60 + 10 * ROUNDS
    # Each says its own name to whoever connects.
    environment: ClassVar[dict[str, str]] = {
        "SESSION_COMMAND": f"/bin/sh -c 'exec nc -ll -p {PORT} -e /bin/echo $NAME'"
    }

    async def setUp(self) -> None:
        await super().setUp()
        # 198.18.0.0/15 is for tests of networks (RFC 2544): nobody routes it.
        subnet = f"198.18.{secrets.randbelow(256)}.{secrets.randbelow(64) * 4}/30"
        await self.outside(
            self.site.engine.create_network,
            self.site.network,
            ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)]),
            options={"com.docker.network.bridge.enable_icc": "false"},
        )
        self.previews = Previews(self.runtime, limit=10)
        self.answers: dict[str, set[str]] = {}
        self.dials = 0

    async def create(self, name: str) -> Container:
        """A session whose server says its name, registered for previews, and stopped."""
        spec = ContainerSpec(session_id=self.site.session_id(), image=BUSYBOX, env={"NAME": name})
        container: Container = await self.runtime.create(spec)
        self.previews.add(Preview(session_id=container.session_id, port=PORT), ROOT)
        self.answers[container.session_id] = set()
        return container

    async def ask(self, session_id: str) -> str:
        """One preview request, as the gateway makes it; what was said, or nothing."""
        try:
            resolved = self.previews.resolve(session_id)
            target = (await resolved if isinstance(resolved, Deferred) else resolved).target
        except SandboxError:
            return ""
        self.dials += 1
        said = await heard(target.address, target.port)
        self.answers[session_id].add(said)
        return said

    async def ask_on(self, session_id: str) -> None:
        """Go on asking until the test says that it is over."""
        while not self.over:
            await self.ask(session_id)
            await pause(0.001)

    async def test_each_session_hears_only_itself(self) -> None:
        one = await self.create("one")
        await self.runtime.stop(one.id)
        other = await self.create("other")
        self.assertEqual(one.address, other.address)
        self.over = False
        self.addCleanup(setattr, self, "over", True)
        asking = [Deferred.fromCoroutine(self.ask_on(session.session_id)) for session in (one, other)]
        reused = 0
        for _ in range(ROUNDS):
            for stops, starts in ((other, one), (one, other)):
                await self.runtime.stop(stops.id)
                started = await self.runtime.start(starts.id)
                reused += started.address == one.address
                name = "one" if starts is one else "other"
                for _ in range(400):
                    if await self.ask(starts.session_id) == f"{name}\n":
                        break
                    await pause(0.005)
                else:
                    self.fail("the session that runs does not answer")
        self.over = True
        for one_asking in asking:
            await one_asking
        self.assertEqual(reused, 2 * ROUNDS, "every start took over the other's address")
        self.assertEqual(self.answers[one.session_id] - {""}, {"one\n"})
        self.assertEqual(self.answers[other.session_id] - {""}, {"other\n"})
        self.assertGreater(self.dials, 2 * ROUNDS)
        print(f"{reused} starts on the other's address, {self.dials} dials, 0 answers of another session")
