"""The registry of preview ports, and where a preview's requests go now (contract sections 4 and 5)."""

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
from sandbox.runtimes.interface import IRuntime

_log = Logger()

#: What was found of lives of containers that is remembered beyond what :class:`sandbox.domain.model.Destination` holds.
_VERDICTS = 4096


def target_of(preview: Preview, container: Container) -> Target:
    """Where a preview's requests go, given the container as it is now.

    :raises ContainerNotRunning: when it does not run.
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
    """The registry of preview ports, in memory only, one a session (contract section 4).

    :param limit: registrations at most; a registration of yet another session is then refused.
    """

    def __init__(self, runtime: IRuntime, limit: int) -> None:
        self._runtime = runtime
        self._limit = limit
        self._registered: dict[str, Preview] = {}
        # What was found last, and of which container: the runtime has one object for what it knows of one.
        self._found: dict[str, tuple[Container, Destination]] = {}
        self._verdicts = lru_cache(_VERDICTS)(_no_verdicts)

    def __len__(self) -> int:
        """Registrations there are."""
        return len(self._registered)

    def add(self, preview: Preview, by: Principal) -> None:
        """Add a registration; it replaces an earlier one of the session.

        Whether the session lives is for the caller to check, under the session's lock
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
        """The registration and where its requests go now; at once when the runtime's picture can be trusted.

        :raises PreviewNotRegistered: when nothing is registered.
        :raises ContainerNotFound: when the container is gone; and the errors of :func:`target_of`.
        """
        preview = self.preview(session_id)
        container = self._runtime.cached(session_id)
        if container is not None:
            known = self._found.get(session_id)
            if known is not None and known[0] is container and known[1].preview is preview:
                return known[1]
            found = self._destination(preview, container)
            self._found[session_id] = container, found
            return found

        async def ask() -> Destination:
            return self._destination(preview, await self._runtime.route(session_id))

        return Deferred.fromCoroutine(ask())

    def verdicts(self, preview: Preview) -> HostVerdicts:
        """What was found where the preview's host is ``AUTO``, in the life of its container that is known now."""
        container = self._runtime.cached(preview.session_id)
        if container is None:
            return HostVerdicts()
        return self._verdicts(container.id, container.started_at, preview.port)

    def drop(self, session_id: str) -> None:
        """Forget a session's registration."""
        self._found.pop(session_id, None)
        if self._registered.pop(session_id, None) is not None:
            _log.info("preview dropped session={session}", session=session_id)

    def _destination(self, preview: Preview, container: Container) -> Destination:
        verdicts = self._verdicts(container.id, container.started_at, preview.port)
        return Destination(preview, target_of(preview, container), verdicts)


def _no_verdicts(container_id: str, started_at: str, port: int) -> HostVerdicts:
    return HostVerdicts()
