"""The in-memory runtime behind the interface."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from sandbox.domain.model import Container, ContainerSpec, ContainerSummary, Entry, ExecResult, ExecSpec, FileContent
from sandbox.policy.budget import Share
from sandbox.runtimes.interface import IRuntime, Listener
from sandbox.runtimes.memory.containers import MemoryContainers
from sandbox.runtimes.memory.programs import MemoryAgents

T = TypeVar("T")


@implementer(IRuntime)
class MemoryRuntime:
    """Containers and their files in this process's memory.

    :param images: the available images, each with its configured user.
    :param agents: programs and files of the containers.
    :param step: awaited by a creation before it starts the container, so that a test can delay it.
    :ivar containers: the simulated engine.
    """

    def __init__(
        self,
        images: Mapping[str, str],
        agents: MemoryAgents,
        step: Callable[[], Awaitable[None]] = lambda: succeed(None),
    ) -> None:
        self.containers = MemoryContainers(images, agents.drop)
        self._agents = agents
        self._step = step

    def open(self) -> Deferred[None]:
        """Implements ``IRuntime.open``."""
        return succeed(None)

    def close(self) -> Deferred[None]:
        """Implements ``IRuntime.close``."""
        return self._agents.close()

    def ping(self) -> Deferred[None]:
        """Implements ``IRuntime.ping``."""
        return _call(self.containers.ping)

    def cached(self, session_id: str) -> Container | None:
        """As ``IContainers.cached``."""
        return self.containers.cached(session_id)

    def find(self, session_id: str) -> Deferred[Container]:
        """As ``IContainers.find``."""
        return _call(lambda: self.containers.find(session_id))

    def route(self, session_id: str) -> Deferred[Container]:
        """As ``IContainers.route``."""
        return _call(lambda: self.containers.route(session_id))

    def list(self) -> Deferred[Sequence[ContainerSummary]]:
        """As ``IContainers.list``."""
        return _call(self.containers.every)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """As ``IEngineEvents.watch``."""
        return self.containers.watch(listener)

    def on_return(self, listener: Callable[[], None]) -> Callable[[], None]:
        """As ``IEngineEvents.on_return``."""
        return self.containers.on_return(listener)

    def create(self, spec: ContainerSpec) -> Deferred[Container]:
        """As ``IContainers.create``."""

        async def run() -> Container:
            self.containers.check(spec)
            try:
                made = self.containers.make(spec)
                await self._step()
                return self.containers.start(made.id)
            except Exception:
                self.containers.remove(spec.session_id)
                raise

        return Deferred.fromCoroutine(run())

    def start(self, container_id: str) -> Deferred[Container]:
        """As ``IContainers.start``."""
        return _call(lambda: self.containers.start(container_id))

    def stop(self, container_id: str) -> Deferred[Container]:
        """As ``IContainers.stop``."""
        return _call(lambda: self.containers.stop(container_id))

    def remove(self, session_id: str) -> Deferred[None]:
        """As ``IContainers.remove``."""
        return _call(lambda: self.containers.remove(session_id))

    def workspaces(self) -> Deferred[Sequence[str]]:
        """As ``IContainers.workspaces``."""
        return _call(self.containers.workspaces)

    def execute(self, container: Container, spec: ExecSpec, share: Share | None = None) -> Deferred[ExecResult]:
        """As ``IProcesses.execute``."""
        return self._agents.execute(container, spec, share)

    def read_file(
        self, container: Container, path: bytes, limit: int, share: Share | None = None
    ) -> Deferred[FileContent]:
        """As ``IFiles.read_file``."""
        return self._agents.read_file(container, path, limit, share)

    def write_file(self, container: Container, path: bytes, content: bytes) -> Deferred[int]:
        """As ``IFiles.write_file``."""
        return self._agents.write_file(container, path, content)

    def list_directory(
        self, container: Container, path: bytes, share: Share | None = None
    ) -> Deferred[Sequence[Entry]]:
        """As ``IFiles.list_directory``."""
        return self._agents.list_directory(container, path, share)

    def stat(self, container: Container, path: bytes) -> Deferred[Entry | None]:
        """As ``IFiles.stat``."""
        return self._agents.stat(container, path)


def _call(work: Callable[[], T]) -> Deferred[T]:
    async def run() -> T:
        return work()

    return Deferred.fromCoroutine(run())
