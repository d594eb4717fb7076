"""Registration of preview ports (contract section 4)."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from sandbox.domain.errors import ContainerNotRunning
from sandbox.domain.events import PreviewRegistered
from sandbox.domain.host_verdicts import HostVerdicts
from sandbox.domain.model import Preview
from sandbox.domain.principals import Principal
from sandbox.events.bus import EventBus
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.routing.previews import Previews
from sandbox.runtimes.interface import IContainers


class PreviewRegistration:
    """Use case: register a preview's port.

    :param locks: shared with :class:`sandbox.operations.sessions.Sessions`: a registration never runs while its
        session is stopped or removed, so that it cannot outlive the session.
    """

    def __init__(self, containers: IContainers, previews: Previews, locks: KeyedLocks, events: EventBus) -> None:
        self._containers = containers
        self._previews = previews
        self._locks = locks
        self._events = events

    def register(self, by: Principal, preview: Preview) -> Deferred[HostVerdicts]:
        """Register a port; the last one wins. Fires with the verdicts on the hosts that the application accepts.

        :param by: the caller, for the event and the log.
        :raises ContainerNotFound: when the session has no container.
        :raises ContainerNotRunning: when its container is not running.
        :raises Overloaded: when the registry is full, or too many calls wait for the session's lock.
        """
        return Deferred.fromCoroutine(self._locks.run(preview.session_id, lambda: self._register(by, preview)))

    async def _register(self, by: Principal, preview: Preview) -> HostVerdicts:
        # Query the engine, not the cache: its event of a removal arrives after the removal released the lock.
        container = await self._containers.find(preview.session_id)
        if not container.running:
            raise ContainerNotRunning(preview.session_id, container.state.value)
        self._previews.add(preview, by)
        self._events.publish(PreviewRegistered(preview, by=by))
        return self._previews.verdicts(preview)
