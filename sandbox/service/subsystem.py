"""Subsystems: services that open asynchronously in order, and close in reverse order."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.application.service import MultiService, Service

from sandbox.settings import Settings


class Subsystem(Service):
    """A part of the application with its own lifecycle.

    Twisted's ``startService`` is synchronous, and services stop in no particular order. Subsystems wait for engine and
    database, so each one must be open, or closed, before the next.
    """

    async def open(self) -> None:
        """Open the subsystem. Recoverable failures must not raise, since they would end the start."""

    def reconfigure(self, settings: Settings) -> None:
        """Apply the ``live`` settings after a reload (SIGHUP)."""

    def drain(self) -> None:
        """Start to close unbounded connections, such as WebSockets; the sites wait for them as for requests."""

    async def close(self) -> None:
        """Cancel remaining work and release resources."""


class Subsystems(MultiService):
    """Subsystems in order of opening: each may depend on those before it."""

    def __init__(self, *subsystems: Subsystem) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for subsystem in subsystems:
            subsystem.setServiceParent(self)  # type: ignore[no-untyped-call]

    async def open(self) -> None:
        """Open each, in order."""
        for subsystem in self._each():
            await subsystem.open()

    def reconfigure(self, settings: Settings) -> None:
        """Reconfigure each."""
        for subsystem in self._each():
            subsystem.reconfigure(settings)

    def drain(self) -> None:
        """Drain each."""
        for subsystem in self._each():
            subsystem.drain()

    async def close(self) -> None:
        """Close each, in reverse order."""
        for subsystem in reversed(list(self._each())):
            await subsystem.close()

    def _each(self) -> Iterator[Subsystem]:
        yield from self.services
