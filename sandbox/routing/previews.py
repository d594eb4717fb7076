"""The registry of preview ports, and the destination of each preview's requests (contract sections 4 and 5)."""

from __future__ import annotations

from functools import lru_cache

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sandbox.domain.errors import (
    ContainerNotRunning,
    ContainerWithoutAddress,
    Overloaded,
    PreviewNotRegistered,
    PreviewRefused,
)
from sandbox.domain.host_verdicts import HostVerdicts
from sandbox.domain.model import Container, Destination, Preview, Target
from sandbox.domain.principals import Principal
from sandbox.runtimes.interface import IContainers

_log = Logger()

#: Maximum number of cached host verdicts, one for each start of a container and port.
_VERDICTS = 4096


def target_of(preview: Preview, container: Container) -> Target:
    """The target of a preview's requests, by the container's present state.

    :raises ContainerNotRunning: when the container does not run.
    :raises PreviewRefused: when previews must not reach it.
    :raises ContainerWithoutAddress: when it has no address.
    """
    if not container.running:
        raise ContainerNotRunning(preview.session_id, container.state.value)
    if container.refusal is not None:
        raise PreviewRefused(preview.session_id, container.refusal)
    if container.address is None:
        raise ContainerWithoutAddress(preview.session_id)
    return Target(container.id, container.started_at, container.address, preview.port)


class Previews:
    """The in-memory registry of preview ports, one for each session (contract section 4).

    :param limit: maximum number of registrations; further sessions are refused.
    """

    def __init__(self, containers: IContainers, limit: int) -> None:
        self._containers = containers
        self._limit = limit
        self._registered: dict[str, Preview] = {}
        # The last destination with the container that it was made of: the runtime replaces the object on each change.
        self._found: dict[str, tuple[Container, Destination]] = {}
        self._verdicts = lru_cache(_VERDICTS)(_no_verdicts)

    def __len__(self) -> int:
        """Number of registrations."""
        return len(self._registered)

    def add(self, preview: Preview, by: Principal) -> None:
        """Add a registration; it replaces an earlier one of the session.

        The caller checks that the session exists, holding the session's lock
        (:class:`sandbox.operations.previews.PreviewRegistration`).

        :param by: who registers it.
        :raises Overloaded: when the registry is full.
        """
        if preview.session_id not in self._registered and len(self._registered) >= self._limit:
            raise Overloaded("Too many previews are registered", code="TOO_MANY_PREVIEWS")
        self._registered[preview.session_id] = preview
        _log.info(
            "preview registered session={session} port={port} by={by}",
            session=preview.session_id,
            port=preview.port,
            by=str(by),
        )

    def preview(self, session_id: str) -> Preview:
        """The session's registration.

        :raises PreviewNotRegistered: when there is none.
        """
        try:
            return self._registered[session_id]
        except KeyError:
            raise PreviewNotRegistered(session_id) from None

    def resolve(self, session_id: str) -> Destination | Deferred[Destination]:
        """The registration and its target; synchronously while the runtime's container cache is current.

        :raises PreviewNotRegistered: when nothing is registered.
        :raises ContainerNotFound: when the container does not exist; and the errors of :func:`target_of`.
        """
        preview = self.preview(session_id)
        container = self._containers.cached(session_id)
        if container is not None:
            known = self._found.get(session_id)
            if known is not None and known[0] is container and known[1].preview is preview:
                return known[1]
            found = self._destination(preview, container)
            self._found[session_id] = container, found
            return found

        async def ask() -> Destination:
            return self._destination(preview, await self._containers.route(session_id))

        return Deferred.fromCoroutine(ask())

    def verdicts(self, preview: Preview) -> HostVerdicts:
        """The host verdicts of a preview with ``host: auto``, for the present start of its container."""
        container = self._containers.cached(preview.session_id)
        if container is None:
            return HostVerdicts()
        return self._verdicts(container.id, container.started_at, preview.port)

    def drop(self, session_id: str) -> None:
        """Remove a session's registration."""
        self._found.pop(session_id, None)
        if self._registered.pop(session_id, None) is not None:
            _log.info("preview dropped session={session}", session=session_id)

    def _destination(self, preview: Preview, container: Container) -> Destination:
        verdicts = self._verdicts(container.id, container.started_at, preview.port)
        return Destination(preview, target_of(preview, container), verdicts)


def _no_verdicts(container_id: str, started_at: str, port: int) -> HostVerdicts:
    return HostVerdicts()
