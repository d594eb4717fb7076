"""The Docker runtime passes the lifecycle contract on a real engine."""

from __future__ import annotations

from sandbox.domain.errors import EngineError
from tests.contracts.runtime_lifecycle import LifecycleContract
from tests.runtimes.docker.site import SiteTestCase


class DockerLifecycleTests(LifecycleContract, SiteTestCase):
    """The contract."""

    def session_id(self) -> str:
        return self.site.session_id()

    async def foreign(self, session_id: str, running: bool = True) -> str:
        container_id: str = await self.outside(self.site.foreign, session_id, start=running)
        return container_id

    async def test_f35_a_disk_limit_that_the_engine_cannot_keep_fails_creations_and_says_so(self) -> None:
        """The engine of the tests is not on XFS with project quotas."""
        runtime = await self.opened(self.site.settings(SESSION_DISK_MB="64"))
        spec = self.spec()
        error = await self.failure_of(runtime.create(spec), EngineError)
        self.assertIn("SESSION_DISK_MB: the engine cannot limit disk space", error.message)
        self.assertEqual(await self.outside(self.traces, spec.session_id), [])

    async def kill(self, container_id: str) -> None:
        await self.outside(self.site.engine.kill, container_id)
        await self.outside(self.site.engine.wait, container_id)

    async def freeze(self, container_id: str) -> None:
        await self.outside(self.site.engine.pause, container_id)

    async def vanish(self, container_id: str) -> None:
        await self.outside(self.site.engine.remove_container, container_id, force=True)

    def traces(self, session_id: str) -> list[str]:
        return self.site.traces(session_id)
