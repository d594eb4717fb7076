"""Engine subsystem: owns the runtime, and publishes its container events as domain events."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.domain.events import ContainerEnded
from sandbox.domain.model import Container
from sandbox.domain.principals import SYSTEM
from sandbox.events.bus import EventBus
from sandbox.runtimes.interface import IRuntime
from sandbox.service.subsystem import Subsystem


class EngineSubsystem(Subsystem):
    """Follows the engine's events from :meth:`open` to :meth:`close`."""

    name = "engine"

    def __init__(self, runtime: IRuntime, events: EventBus) -> None:
        self.runtime = runtime
        self._events = events
        self._unwatch: Callable[[], None] | None = None

    async def open(self) -> None:
        """Connect to the engine and follow its events."""
        self._unwatch = self.runtime.watch(self._changed)
        await self.runtime.open()

    def _changed(self, session_id: str, container: Container | None) -> None:
        if container is None or not container.running:
            self._events.publish(ContainerEnded(session_id, by=SYSTEM))

    async def close(self) -> None:
        """Kill running commands, and disconnect from the engine."""
        if self._unwatch is not None:
            self._unwatch()
        await self.runtime.close()
