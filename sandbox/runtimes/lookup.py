"""Look-ups of containers that need more than one call of a runtime."""

from __future__ import annotations

from sandbox.domain.errors import ContainerNotRunning
from sandbox.domain.model import Container
from sandbox.runtimes.interface import IContainers


async def running_container(containers: IContainers, session_id: str) -> Container:
    """The session's container, which must run; from the cache where that is current.

    :raises ContainerNotFound: when there is none.
    :raises ContainerNotRunning: when it does not run.
    """
    container = containers.cached(session_id)
    if container is None or not container.running:
        container = await containers.find(session_id)
    if not container.running:
        raise ContainerNotRunning(session_id, container.state.value)
    return container
