"""Read-only queries: session containers and workspaces as the engine describes them."""

from __future__ import annotations

from collections.abc import Sequence

import docker
from twisted.internet.defer import Deferred

from sandbox.domain.errors import ContainerNotFound
from sandbox.domain.model import Container, ContainerSummary
from sandbox.policy.containers import choose
from sandbox.runtimes.docker.container_calls import ContainerCalls
from sandbox.runtimes.docker.engine import Engine
from sandbox.runtimes.docker.inspection import INSTANCE_LABEL, SessionLabels, container_from, summary_from
from sandbox.settings import Settings


class Lookup:
    """Read-only queries to one engine.

    :param engine: runs the calls; has threads of its own, so that slow changes do not delay queries.
    :param calls: serialises calls about one container.
    :param labels: decides which containers are served sessions.
    """

    def __init__(self, engine: Engine, calls: ContainerCalls, settings: Settings, labels: SessionLabels) -> None:
        self._engine = engine
        self._calls = calls
        self._settings = settings
        self._labels = labels

    def inspect(self, container_id: str) -> Deferred[Container | None]:
        """The container by its id; ``None`` when it is gone or not a served session."""

        def inspect() -> Deferred[Container | None]:
            return self._engine.call(lambda client: self.inspection(client, container_id), "inspect")

        return self._calls.run(container_id, inspect)

    async def find(self, session_id: str) -> Container:
        """As ``IContainers.find``."""

        ids = await self._engine.call(lambda client: self.labelled(client, session_id), "find")
        found = choose(filter(None, [await self.inspect(container_id) for container_id in ids]))
        if found is None:
            raise ContainerNotFound(session_id)
        return found

    def summaries(self) -> Deferred[Sequence[ContainerSummary]]:
        """As ``IContainers.list``."""

        def work(client: docker.APIClient) -> Sequence[ContainerSummary]:
            rows = client.containers(all=True, filters={"label": self._labels.name})
            found = (summary_from(row, labels=self._labels) for row in rows)
            return [summary for summary in found if summary is not None]

        return self._engine.call(work, "list")

    def workspaces(self) -> Deferred[Sequence[str]]:
        """As ``IContainers.workspaces``."""
        name = self._labels.name

        def work(client: docker.APIClient) -> Sequence[str]:
            mine = [f"{INSTANCE_LABEL}={self._labels.instance}", name]
            found = client.volumes(filters={"label": mine})["Volumes"] or []
            return [volume["Labels"][name] for volume in found]

        return self._engine.call(work, "list workspaces")

    def labelled(self, client: docker.APIClient, session_id: str) -> Sequence[str]:
        """The ids of a session's served containers; blocks."""
        rows = client.containers(all=True, filters={"label": f"{self._labels.name}={session_id}"})
        return [row["Id"] for row in rows if self._labels.session_id(row.get("Labels")) is not None]

    def inspection(self, client: docker.APIClient, container_id: str) -> Container | None:
        """As :meth:`inspect`; blocks."""
        try:
            described = client.inspect_container(container_id)
        except docker.errors.NotFound:
            return None
        return container_from(described, labels=self._labels, network=self._settings.session_network)
