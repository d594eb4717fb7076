"""Lifecycle of session containers on the engine: create (with rollback), start, stop, remove."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Protocol, TypeVar

import docker
from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from sandbox.domain.errors import (
    EngineError,
    EngineUnavailable,
    ImageUnknown,
    InvalidRequest,
    Overloaded,
    SessionExists,
)
from sandbox.domain.model import Container, ContainerSpec
from sandbox.net.cancellation import delay_cancellation
from sandbox.runtimes.docker import isolation, workspaces
from sandbox.runtimes.docker.container_calls import ContainerCalls
from sandbox.runtimes.docker.engine import Engine, EngineRefused
from sandbox.runtimes.docker.inspection import INSTANCE_LABEL
from sandbox.runtimes.docker.lookup import Lookup
from sandbox.runtimes.docker.network import reconnect, safe_network
from sandbox.settings import Settings

T = TypeVar("T")
_log = Logger()


class Installer(Protocol):
    """Installs the agent in a container that was created and not yet started."""

    def install(self, container_id: str) -> Deferred[None]:
        """Copy the agent into it."""

    def drop(self, container_id: str) -> None:
        """Forget the container: it stopped, or is being removed."""


class Containers:
    """Changes to the session containers of one engine.

    :param control: runs the calls.
    :param lookup: describes a changed container.
    :param calls: serialises calls about one container; removals bypass it.
    :param command: the main process of a new container.
    """

    def __init__(
        self,
        control: Engine,
        lookup: Lookup,
        calls: ContainerCalls,
        agents: Installer,
        settings: Settings,
        *,
        instance: str,
        command: Sequence[str],
    ) -> None:
        self._control = control
        self._lookup = lookup
        self._calls = calls
        self._agents = agents
        self._settings = settings
        self._instance = instance
        self._command = settings.session_command or command
        self._network = DeferredLock()
        self._creating: set[str] = set()
        self._changes = 0
        # An operation makes one call at a time: with at most this many operations the engine's queue never refuses a
        # call half way or during a rollback.
        self._changes_limit = settings.engine_threads + settings.engine_queue

    async def create(self, spec: ContainerSpec) -> Container:
        """As ``IContainers.create``."""
        with self._change(), self._alone(spec.session_id):
            user = await self._check(spec)
            try:
                return await self._make(spec, user)
            except EngineUnavailable:
                # No rollback while the engine is away: reconciliation finds the container without a row.
                raise
            except Exception as error:
                await delay_cancellation(Deferred.fromCoroutine(self._take_back(spec.session_id, error)))
                raise

    async def start(self, container_id: str) -> Container:
        """As ``IContainers.start``."""

        def work(client: docker.APIClient) -> Container:
            described = client.inspect_container(container_id)
            if described["State"]["Status"] == "paused":
                client.unpause(container_id)
            try:
                client.start(container_id)
            except docker.errors.NotFound:
                if not reconnect(client, described, self._settings, self._instance):
                    raise
                client.start(container_id)
            return self._found(client, container_id)

        with self._change():
            return await self._about(container_id, work, "start")

    async def stop(self, container_id: str) -> Container:
        """As ``IContainers.stop``."""

        def work(client: docker.APIClient) -> Container:
            client.stop(container_id, timeout=self._settings.session_stop_timeout)
            return self._found(client, container_id)

        with self._change():
            self._agents.drop(container_id)
            return await self._about(container_id, work, "stop")

    async def remove(self, session_id: str) -> None:
        """As ``IContainers.remove``."""
        with self._change():
            await self._remove(session_id)

    @contextmanager
    def _change(self) -> Iterator[None]:
        if self._changes >= self._changes_limit:
            raise Overloaded("The engine has too many calls waiting", code="ENGINE_BUSY")
        self._changes += 1
        try:
            yield
        finally:
            self._changes -= 1

    @contextmanager
    def _alone(self, session_id: str) -> Iterator[None]:
        if session_id in self._creating:
            raise SessionExists(session_id)
        self._creating.add(session_id)
        try:
            yield
        finally:
            self._creating.discard(session_id)

    def _do(self, work: Callable[[docker.APIClient], T], operation: str) -> Deferred[T]:
        return delay_cancellation(self._control.call(work, operation))

    def _about(self, container_id: str, work: Callable[[docker.APIClient], T], operation: str) -> Deferred[T]:
        return delay_cancellation(self._calls.run(container_id, lambda: self._control.call(work, operation)))

    def _found(self, client: docker.APIClient, container_id: str) -> Container:
        container = self._lookup.inspection(client, container_id)
        if container is None:
            raise EngineError(f"container {container_id[:12]} is gone")
        return container

    async def _check(self, spec: ContainerSpec) -> str:
        """Check all preconditions before anything is created.

        :returns: the image's user.
        """
        name = isolation.resource_name(self._instance, spec.session_id)

        def work(client: docker.APIClient) -> str:
            try:
                image = client.inspect_image(spec.image)
            except docker.errors.NullResource as error:
                raise ImageUnknown(spec.image) from error
            except docker.errors.APIError as error:
                # 404: no such image; 400: an invalid image name.
                if error.response is not None and error.response.status_code in (400, 404):
                    raise ImageUnknown(spec.image) from error
                raise
            if self._lookup.labelled(client, spec.session_id):
                raise SessionExists(spec.session_id)
            # A volume without a container is left over from an interrupted deletion: a new session must not see
            # another session's files.
            if not self._remove_volume(client, name):
                raise EngineError(f"volume {name} is there, and does not carry our labels: remove it")
            return (image.get("Config") or {}).get("User") or ""

        return await self._do(work, "look at image")

    async def _make(self, spec: ContainerSpec, user: str) -> Container:
        settings, instance = self._settings, self._instance
        name = isolation.resource_name(instance, spec.session_id)
        internal = False
        if settings.session_network != "none":
            # The lock covers this process; ensure_network handles races with other daemons on the engine.
            look = partial(safe_network, settings=settings, instance=instance)
            network = await delay_cancellation(self._network.run(self._do, look, "look at network"))
            internal = bool(network.get("Internal"))

        def create(client: docker.APIClient) -> str:
            config = isolation.container_config(
                spec, settings, instance=instance, volume=name, command=self._command, internal=internal
            )
            try:
                created: str = client.create_container_from_config(config, name)["Id"]
            except docker.errors.ImageNotFound as error:
                raise ImageUnknown(spec.image) from error
            except docker.errors.APIError as error:
                if error.response is None or error.response.status_code != 409:
                    raise
                # A container without our labels has the name.
                raise SessionExists(spec.session_id) from error
            # Another installation on this engine may have created one since the check. The second creator sees both
            # containers and rolls back; with simultaneous creations both roll back.
            if len(self._lookup.labelled(client, spec.session_id)) > 1:
                raise SessionExists(spec.session_id)
            return created

        try:
            container_id = await self._do(create, "create")
        except EngineRefused as error:
            if error.status == 400 and spec.cpus is not None and "CPU" in error.message:
                # Within SESSION_CPUS_MAX but above the number of CPUs of the engine's machine.
                raise InvalidRequest(f"Request body field 'cpus' is refused by the engine: {error.message}") from error
            if settings.session_disk_mb and ("quota" in error.message or "storage-opt" in error.message):
                raise EngineError(f"SESSION_DISK_MB: the engine cannot limit disk space: {error.message}") from error
            raise
        foreign = not workspaces.is_root(user)

        def check(client: docker.APIClient) -> None:
            workspaces.check(client, container_id, spec.image)
            if foreign and settings.session_command:
                workspaces.open_to_all(client, container_id)

        await self._do(check, "check workspace")
        await delay_cancellation(self._agents.install(container_id))

        def start(client: docker.APIClient) -> Container:
            client.start(container_id)
            found = self._found(client, container_id)
            if foreign and found.running:
                workspaces.give(client, container_id, user)
            return found

        container = await self._about(container_id, start, "start")
        if not container.running:
            raise EngineError(f"its main process ended at once (state {container.state.value})")
        if container.address is None and settings.session_network != "none":
            raise EngineError(f"the engine gave it no address on network {settings.session_network}")
        return container

    async def _take_back(self, session_id: str, error: BaseException) -> None:
        try:
            await self._remove(session_id)
        except EngineError as failure:
            _log.error(
                "create session={session} failed ({error!r}) and left something behind: {reason}",
                session=session_id,
                error=error,
                reason=failure.message,
            )

    async def _remove(self, session_id: str) -> None:
        labels = isolation.labels_of(self._settings, self._instance, session_id)
        mine = [f"{name}={value}" for name, value in labels.items()]

        def work(client: docker.APIClient) -> list[str]:
            found = client.containers(all=True, quiet=True, filters={"label": mine})
            for row in found:
                _remove_container(client, row["Id"])
            self._remove_volume(client, isolation.resource_name(self._instance, session_id))
            return [row["Id"] for row in found]

        for container_id in await self._do(work, "remove"):
            self._agents.drop(container_id)

    def _remove_volume(self, client: docker.APIClient, name: str) -> bool:
        """Remove the volume if it carries our label.

        :returns: whether no such volume is left.
        """
        with suppress(docker.errors.NotFound):
            labels = client.inspect_volume(name)["Labels"] or {}
            if labels.get(INSTANCE_LABEL) != self._instance:
                return False
            client.remove_volume(name)
        return True


def _remove_container(client: docker.APIClient, container_id: str) -> None:
    try:
        client.remove_container(container_id, force=True, v=True)
    except docker.errors.NotFound:
        return
    except docker.errors.APIError as error:
        if error.response is None or error.response.status_code != 409:
            raise
        # Another removal is in progress.
        with suppress(docker.errors.NotFound):
            client.wait(container_id, timeout=client.timeout, condition="removed")
