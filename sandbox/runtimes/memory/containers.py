"""Simulation of an engine's containers in memory."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime

import attrs
from twisted.logger import Logger

from sandbox.domain.errors import ContainerNotFound, EngineError, EngineUnavailable, ImageUnknown, SessionExists
from sandbox.domain.model import Container, ContainerSpec, ContainerState
from sandbox.policy.containers import choose
from sandbox.runtimes.interface import Listener

_log = Logger()
_NETWORK = ipaddress.ip_network("198.18.0.0/15")


class MemoryContainers:
    """Containers of a simulated engine.

    In addition to the runtime's methods, tests can simulate events on the engine: :meth:`add` (another program's
    container), :meth:`die`, :meth:`pause`, :meth:`vanish`, and for the engine itself :meth:`leave` and
    :meth:`come_back`.

    :param images: the available images, each with its configured user.
    :param ended: called with the id of each container that died or was removed.
    :ivar grace: whether previews continue while the engine is away.
    """

    def __init__(self, images: Mapping[str, str], ended: Callable[[str], None]) -> None:
        self.images = dict(images)
        self._ended = ended
        self.away = False
        self.grace = False
        self._containers: dict[str, Container] = {}
        self._workspaces: set[str] = set()
        self._listeners: list[Listener] = []
        self._return_listeners: list[Callable[[], None]] = []
        self._last = datetime(1970, 1, 1, tzinfo=UTC)

    # -- interface of the runtime ----------------------------------------------------------------------------------

    def ping(self) -> None:
        """Fail while the engine is unavailable."""
        if self.away:
            raise EngineUnavailable("The Docker engine does not answer")

    def cached(self, session_id: str) -> Container | None:
        """As ``IContainers.cached``."""
        return None if self.away else choose(self._of(session_id))

    def find(self, session_id: str) -> Container:
        """As ``IContainers.find``."""
        self.ping()
        found = choose(self._of(session_id))
        if found is None:
            raise ContainerNotFound(session_id)
        return found

    def route(self, session_id: str) -> Container:
        """As ``IContainers.route``."""
        return (choose(self._of(session_id)) if self.away and self.grace else None) or self.find(session_id)

    def every(self) -> Sequence[Container]:
        """As ``IContainers.list``."""
        self.ping()
        return list(self._containers.values())

    def workspaces(self) -> Sequence[str]:
        """As ``IContainers.workspaces``."""
        self.ping()
        return sorted(self._workspaces)

    def watch(self, listener: Listener) -> Callable[[], None]:
        """As ``IEngineEvents.watch``."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener) if listener in self._listeners else None

    def on_return(self, listener: Callable[[], None]) -> Callable[[], None]:
        """As ``IEngineEvents.on_return``."""
        self._return_listeners.append(listener)
        return lambda: self._return_listeners.remove(listener) if listener in self._return_listeners else None

    def check(self, spec: ContainerSpec) -> None:
        """Validate a specification before anything is created."""
        self.ping()
        if spec.image not in self.images:
            raise ImageUnknown(spec.image)
        if any(True for _ in self._of(spec.session_id)):
            raise SessionExists(spec.session_id)
        self._workspaces.discard(spec.session_id)

    def make(self, spec: ContainerSpec) -> Container:
        """Create a session's workspace and container without starting it."""
        self._workspaces.add(spec.session_id)
        return self.add(
            spec.session_id,
            image=spec.image,
            user=self.images[spec.image],
            managed=True,
            state=ContainerState.CREATED,
        )

    def start(self, container_id: str) -> Container:
        """As ``IContainers.start``."""
        self.ping()
        container = self._known(container_id)
        if container.state is ContainerState.PAUSED:
            return self._put(attrs.evolve(container, state=ContainerState.RUNNING))
        if container.running:
            return container
        return self._put(
            attrs.evolve(
                container,
                state=ContainerState.RUNNING,
                address=None if container.refusal else self._free_address(),
                started_at=self._moment(),
            )
        )

    def stop(self, container_id: str) -> Container:
        """As ``IContainers.stop``."""
        self.ping()
        container = self._known(container_id)
        if container.state in (ContainerState.RUNNING, ContainerState.PAUSED):
            return self.die(container_id)
        return container

    def remove(self, session_id: str) -> None:
        """As ``IContainers.remove``."""
        self.ping()
        for container in list(self._of(session_id)):
            if container.managed:
                self.vanish(container.id)
        self._workspaces.discard(session_id)

    # -- simulated events ------------------------------------------------------------------------------------------

    def add(
        self,
        session_id: str,
        *,
        image: str = "elsewhere:1",
        user: str = "",
        managed: bool = False,
        state: ContainerState = ContainerState.CREATED,
        refusal: str | None = None,
    ) -> Container:
        """Add a labelled container, by default one created by another program."""
        return self._put(
            Container(
                id=secrets.token_hex(32),
                session_id=session_id,
                state=state,
                image=image,
                created_at=self._moment(),
                user=user,
                managed=managed,
                refusal=refusal,
            )
        )

    def place(self, container_id: str, address: str | None) -> Container:
        """Set a container's address, such as one on which a test listens."""
        return self._put(attrs.evolve(self._known(container_id), address=address))

    def die(self, container_id: str) -> Container:
        """End a container's main process."""
        self._ended(container_id)
        return self._put(attrs.evolve(self._known(container_id), state=ContainerState.EXITED, address=None))

    def pause(self, container_id: str) -> Container:
        """Freeze a container."""
        return self._put(attrs.evolve(self._known(container_id), state=ContainerState.PAUSED))

    def vanish(self, container_id: str) -> None:
        """Remove a container and keep its workspace."""
        container = self._known(container_id)
        self._ended(container_id)
        del self._containers[container_id]
        self._tell(container.session_id)

    def leave(self) -> None:
        """Make the engine unavailable."""
        self.away = True

    def come_back(self) -> None:
        """Make the engine available again."""
        self.away = False
        for session_id in {container.session_id for container in self._containers.values()}:
            self._tell(session_id)
        for listener in list(self._return_listeners):
            listener()

    def _of(self, session_id: str) -> Iterable[Container]:
        return (one for one in self._containers.values() if one.session_id == session_id)

    def _known(self, container_id: str) -> Container:
        try:
            return self._containers[container_id]
        except KeyError:
            raise EngineError(f"No such container: {container_id}") from None

    def _put(self, container: Container) -> Container:
        self._containers[container.id] = container
        self._tell(container.session_id)
        return container

    def _tell(self, session_id: str) -> None:
        if not self.away:
            for listener in list(self._listeners):
                try:
                    listener(session_id, choose(self._of(session_id)))
                except Exception:
                    _log.failure("listener of container changes failed")

    def _free_address(self) -> str:
        # As engines do, which give a freed address to the next container at once.
        taken = {container.address for container in self._containers.values()}
        return next(text for text in map(str, _NETWORK.hosts()) if text not in taken)

    def _moment(self) -> str:
        # Strictly increasing, like an engine's nanoseconds.
        self._last = max(datetime.now(UTC), self._last + datetime.resolution)
        return self._last.isoformat(timespec="microseconds").replace("+00:00", "000Z")
