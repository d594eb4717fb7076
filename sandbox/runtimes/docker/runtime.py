"""The Docker runtime: assembles the parts of this package behind ``IRuntime``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from zope.interface import implementer

from sandbox.domain.model import Container, ContainerSpec, ContainerSummary, Entry, ExecResult, ExecSpec, FileContent
from sandbox.net.instruments import CallStats, PoolUsage
from sandbox.policy.budget import Share
from sandbox.runtimes.docker import program
from sandbox.runtimes.docker.agents import Agents, calls_of
from sandbox.runtimes.docker.containers import Containers
from sandbox.runtimes.docker.engine import Engine
from sandbox.runtimes.docker.events import EngineEvents
from sandbox.runtimes.docker.grace import Grace
from sandbox.runtimes.docker.informer import Informer, StreamCounts
from sandbox.runtimes.docker.inspection import SessionLabels
from sandbox.runtimes.docker.lookup import Lookup
from sandbox.runtimes.docker.reactor_calls import ReactorCalls
from sandbox.runtimes.interface import IRuntime, Listener
from sandbox.scheduling.scheduler import Scheduler
from sandbox.settings import Settings

#: Maximum of look-ups of a container while events about it keep arriving.
_FIND_ATTEMPTS = 3


@implementer(IRuntime)
class DockerRuntime:
    """One Docker engine, as ``IRuntime`` describes it.

    :param reactor: provides time, threads and connections.
    :param instance: the installation's name, from the store. Containers with its label are managed; containers without
        an installation's label are served; those of other installations are served only if the settings allow it.
    :param scheduler: runs the engine's heartbeat.
    :ivar calls: statistics of the engine's calls, by operation.
    """

    def __init__(self, reactor: Any, settings: Settings, instance: str, scheduler: Scheduler) -> None:
        def engine(threads: int) -> Engine:
            return Engine(
                reactor,
                settings.docker_host,
                threads=threads,
                queue=settings.engine_queue,
                timeout=settings.engine_timeout,
                calls=self.calls,
            )

        self.calls: defaultdict[str, CallStats] = defaultdict(CallStats)

        calls = calls_of(reactor, settings)
        self._agents = Agents(reactor, settings, self.calls, calls)
        self._control, self._queries = engine(settings.engine_threads), engine(settings.engine_query_threads)
        labels = SessionLabels(settings.session_label, instance, settings.serve_foreign_sessions)
        self._lookup = Lookup(self._queries, calls, settings, labels)
        self._containers = Containers(
            self._control,
            self._lookup,
            calls,
            self._agents,
            settings,
            instance=instance,
            command=program.idle_command(),
        )
        self._pings = ReactorCalls(reactor, settings.docker_host, timeout=settings.engine_heartbeat)
        self._events = EngineEvents(
            reactor, settings.docker_host, timeout=settings.engine_heartbeat, pings=self.calls["ping"]
        )
        self._informer = Informer(
            reactor,
            scheduler,
            self._events,
            self._lookup,
            labels=labels,
            ended=self._agents.drop,
            # The other half of the threads remains for requests that wait for an answer.
            inspections=max(1, settings.engine_query_threads // 2),
            heartbeat=settings.engine_heartbeat,
            retry_max=settings.engine_retry_max,
            grace=Grace(reactor, self._pings.ping, settings.engine_grace),
        )

    @property
    def workers(self) -> Mapping[str, PoolUsage]:
        """Usage of the thread pools for changes, for queries and for starts of agents."""
        return {
            "engine changes": self._control.workers,
            "engine queries": self._queries.workers,
            "engine agents": self._agents.workers,
        }

    @property
    def stream(self) -> StreamCounts:
        """Statistics of the engine's event stream."""
        return self._informer.counts

    @property
    def links(self) -> int:
        """The number of links to agents that are open or being opened."""
        return self._agents.links

    @property
    def sessions(self) -> int:
        """The number of sessions with containers in the cache."""
        return self._informer.sessions()

    def open(self) -> Deferred[None]:
        """As ``IRuntime.open``."""
        self._control.open()
        self._queries.open()
        return self._informer.open()

    def close(self) -> Deferred[None]:
        """As ``IRuntime.close``."""

        async def run() -> None:
            self._pings.close()
            await self._informer.close()
            await self._agents.close()
            await self._control.close()
            await self._queries.close()

        return Deferred.fromCoroutine(run())

    def ping(self) -> Deferred[None]:
        """As ``IRuntime.ping``; no thread is needed for it."""
        return self._events.ping().addCallback(lambda _: None)

    def cached(self, session_id: str) -> Container | None:
        """As ``IContainers.cached``."""
        return self._informer.cached(session_id)

    def find(self, session_id: str) -> Deferred[Container]:
        """As ``IContainers.find``. Retries an answer that an event overtook: its address may be stale."""

        async def run() -> Container:
            for _ in range(_FIND_ATTEMPTS - 1):
                mark = self._informer.mark(session_id)
                found = await self._lookup.find(session_id)
                if self._informer.mark(session_id) == mark:
                    return found
            return await self._lookup.find(session_id)

        return Deferred.fromCoroutine(run())

    def route(self, session_id: str) -> Deferred[Container]:
        """As ``IContainers.route``."""

        async def run() -> Container:
            return await self._informer.remembered(session_id) or await self.find(session_id)

        return Deferred.fromCoroutine(run())

    def list(self) -> Deferred[Sequence[ContainerSummary]]:
        """As ``IContainers.list``."""
        return self._lookup.summaries()

    def watch(self, listener: Listener) -> Callable[[], None]:
        """As ``IEngineEvents.watch``."""
        return self._informer.watch(listener)

    def on_return(self, listener: Callable[[], None]) -> Callable[[], None]:
        """As ``IEngineEvents.on_return``."""
        return self._informer.on_return(listener)

    def create(self, spec: ContainerSpec) -> Deferred[Container]:
        """As ``IContainers.create``."""
        return Deferred.fromCoroutine(self._containers.create(spec))

    def start(self, container_id: str) -> Deferred[Container]:
        """As ``IContainers.start``."""
        return Deferred.fromCoroutine(self._containers.start(container_id))

    def stop(self, container_id: str) -> Deferred[Container]:
        """As ``IContainers.stop``."""
        return Deferred.fromCoroutine(self._containers.stop(container_id))

    def remove(self, session_id: str) -> Deferred[None]:
        """As ``IContainers.remove``."""
        return Deferred.fromCoroutine(self._containers.remove(session_id))

    def workspaces(self) -> Deferred[Sequence[str]]:
        """As ``IContainers.workspaces``."""
        return self._lookup.workspaces()

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
