"""A place on a real engine where tests put session containers: labels and a network of its own, removed at the end."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import docker.errors
from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.settings import Settings, parse
from tests.engine import BUSYBOX, ENGINE_URL, client, ensure_busybox


class Site:
    """One test's corner of an engine.

    :param url: the engine.
    :ivar token: random; part of the session label's name, so that no other test's containers are seen.
    :ivar instance: the installation's name.
    :ivar images: what is to be removed at the end beside containers and volumes.
    :ivar networks: what is to be removed at the end, too.
    """

    def __init__(self, url: str = ENGINE_URL) -> None:
        self.token = secrets.token_hex(6)
        self.instance = secrets.token_hex(6)
        self.label = f"sandbox.test.{self.token}"
        self.network = f"sandbox-test-{self.token}"
        self.url = url
        self.images: list[str] = []
        self.networks = [self.network]
        self.engine = client(url)
        ensure_busybox(self.engine)

    def settings(self, **environment: str) -> Settings:
        """The daemon's settings for this corner."""
        return parse({**self.environment(), **environment})

    def environment(self) -> dict[str, str]:
        """The same as variables."""
        return {
            "INTERNAL_SERVICE_KEY": "a-test's-key",
            "DOCKER_HOST": self.url,
            "SESSION_LABEL": self.label,
            "SESSION_NETWORK": self.network,
            "SESSION_IMAGE": BUSYBOX,
            "SESSION_MEMORY_MB": "64",
            "SESSION_STOP_TIMEOUT": "2",
        }

    def session_id(self) -> str:
        """An id that nobody has."""
        return f"{self.token}-{secrets.token_hex(4)}"

    def foreign(self, session_id: str, *, start: bool = True, **host_config: Any) -> str:
        """A container of another program's that carries the label; blocks."""
        host_config.setdefault("network_mode", "none")
        container_id: str = self.engine.create_container(
            BUSYBOX,
            command=["/bin/sleep", "1000000"],
            labels={self.label: session_id},
            host_config=self.engine.create_host_config(init=True, **host_config),
        )["Id"]
        if start:
            self.engine.start(container_id)
        return container_id

    def image(self, files: bytes, changes: Sequence[str]) -> str:
        """An image made from a tar of its files; blocks."""
        repository, tag = "sandbox-test", secrets.token_hex(8)
        self.images.append(f"{repository}:{tag}")
        self.engine.import_image_from_data(files, repository=repository, tag=tag, changes=list(changes))
        return self.images[-1]

    def traces(self, session_id: str | None = None) -> list[str]:
        """Containers and volumes on the engine that carry the label, of one session or of all; blocks."""
        wanted = {"label": self.label if session_id is None else f"{self.label}={session_id}"}
        containers = [f"container {row['Id'][:12]}" for row in self.engine.containers(all=True, filters=wanted)]
        return containers + [f"volume {row['Name']}" for row in self.engine.volumes(filters=wanted)["Volumes"] or []]

    def close(self) -> None:
        """Remove all of it; blocks."""
        for row in self.engine.containers(all=True, filters={"label": self.label}):
            with suppress(docker.errors.NotFound):
                self.engine.remove_container(row["Id"], force=True, v=True)
        for row in self.engine.volumes(filters={"label": self.label})["Volumes"] or []:
            self.engine.remove_volume(row["Name"], force=True)
        for image in self.images:
            self.engine.remove_image(image, force=True)
        for row in self.engine.networks(names=self.networks):
            if row["Name"] in self.networks:
                self.engine.remove_network(row["Id"])
        self.engine.close()


class SiteTestCase(TestCase):
    """A test with a :class:`Site` and an open runtime on the real engine.

    :cvar environment: settings beside the site's.
    """

    timeout = 120
    environment: ClassVar[dict[str, str]] = {}
    image = BUSYBOX

    async def setUp(self) -> None:
        """Make both; fails when there is no engine."""
        self.site = Site()
        self.addCleanup(deferToThread, self.site.close)
        self.settings = self.site.settings(**self.environment)
        self.runtime = await self.opened()

    async def opened(self, settings: Settings | None = None, instance: str | None = None) -> DockerRuntime:
        """Another runtime on the site, closed when the test ends."""
        runtime = DockerRuntime(reactor, settings or self.settings, instance or self.site.instance, Scheduler(reactor))
        self.addCleanup(runtime.close)
        await runtime.open()
        return runtime

    async def outside(self, work: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """A blocking call to the engine past the runtime, in a thread."""
        return await deferToThread(work, *arguments, **more)
