"""What the application consists of: services that open in order and close in the reverse order."""

from __future__ import annotations

from collections.abc import Iterator

from twisted.application.service import MultiService, Service

from sandbox.settings import Settings


class Subsystem(Service):
    """A part of the application with a life of its own.

    ``startService`` of Twisted's services is synchronous and ends in no particular order; what opens and closes here
    waits for engine and database, so that each step has to end before the next begins.
    """

    async def open(self) -> None:
        """Begin. What fails here and may recover later must not fail the start."""

    def reconfigure(self, settings: Settings) -> None:
        """Take the settings that a running daemon can take (SIGHUP)."""

    def drain(self) -> None:
        """Begin to end what would go on for ever; the sites wait for it as for requests."""

    async def close(self) -> None:
        """End the work that goes on and release what was acquired."""


class Subsystems(MultiService):
    """Subsystems in the order in which they open: each may use those before it."""

    def __init__(self, *subsystems: Subsystem) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        for subsystem in subsystems:
            subsystem.setServiceParent(self)  # type: ignore[no-untyped-call]

    async def open(self) -> None:
        """Open each."""
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
        """Close each, the last one first."""
        for subsystem in reversed(list(self._each())):
            await subsystem.close()

    def _each(self) -> Iterator[Subsystem]:
        yield from self.services
