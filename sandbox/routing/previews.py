"""Preview ports: which one a session registered, and where its requests go now (contract sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sandbox.domain.errors import (
    ContainerNotRunning,
    ContainerWithoutAddress,
    Overloaded,
    PreviewNotRegistered,
    PreviewRefused,
)
from sandbox.domain.model import Container, Destination, Preview, Target
from sandbox.runtimes.interface import IRuntime
from sandbox.runtimes.lookup import running_container

_log = Logger()


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
        self._dropped: list[Callable[[str], None]] = []

    def __len__(self) -> int:
        """Registrations there are."""
        return len(self._registered)

    def on_drop(self, listener: Callable[[str], None]) -> None:
        """Have ``listener(session_id)`` called when what carries a session's preview must end at once."""
        self._dropped.append(listener)

    def follow(self) -> Callable[[], None]:
        """Begin to follow the runtime: what is carried to a container that stops or goes is cut. The answer ends it."""
        return self._runtime.watch(self._changed)

    def register(self, preview: Preview) -> Deferred[None]:
        """Register a port; the last one wins.

        :raises ContainerNotFound: when the session has no container.
        :raises ContainerNotRunning: when its container does not run.
        :raises Overloaded: when the registry is full.
        """

        async def run() -> None:
            await running_container(self._runtime, preview.session_id)
            if preview.session_id not in self._registered and len(self._registered) >= self._limit:
                raise Overloaded("Too many previews are registered", code="TOO_MANY_PREVIEWS")
            self._registered[preview.session_id] = preview
            _log.info("preview registered session={session} port={port}", session=preview.session_id, port=preview.port)

        return Deferred.fromCoroutine(run())

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
            found = Destination(preview, target_of(preview, container))
            self._found[session_id] = container, found
            return found

        async def ask() -> Destination:
            return Destination(preview, target_of(preview, await self._runtime.find(session_id)))

        return Deferred.fromCoroutine(ask())

    def drop(self, session_id: str) -> None:
        """Forget a session's registration and end everything that carries its preview: it was stopped or deleted."""
        self._found.pop(session_id, None)
        if self._registered.pop(session_id, None) is not None:
            _log.info("preview dropped session={session}", session=session_id)
        self._cut(session_id)

    def _cut(self, session_id: str) -> None:
        for listener in self._dropped:
            listener(session_id)

    def _changed(self, session_id: str, container: Container | None) -> None:
        # The registration stays: a container that died by itself answers "is not running" (contract section 5), and
        # one that restarts has its page back. Connections belong to the life that ended.
        if container is None or not container.running:
            self._cut(session_id)
