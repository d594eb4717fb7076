"""Internal API subsystem: its use cases and their endpoints."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from sandbox.api.internal.api import InternalApi
from sandbox.api.internal.previews import PreviewEndpoints
from sandbox.api.internal.sessions import SessionEndpoints
from sandbox.api.internal.workspace import WorkspaceEndpoints
from sandbox.domain.model import ExecResult
from sandbox.events.bus import EventBus
from sandbox.http.authentication import Authentication
from sandbox.operations.execution import Execution, output_size
from sandbox.operations.files import Files
from sandbox.operations.idempotency import IdempotencyCache
from sandbox.operations.links import SWEEP, Links
from sandbox.operations.previews import PreviewRegistration
from sandbox.policy.budget import Budget
from sandbox.protocols.hostnames import Addresses
from sandbox.runtimes.interface import IRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.routing import RoutingSubsystem
from sandbox.service.sessions import SessionsSubsystem
from sandbox.service.subscriptions import subscribe_idempotency
from sandbox.service.subsystem import Subsystem
from sandbox.settings import Settings
from sandbox.stores.interface import IStore


class InternalApiSubsystem(Subsystem):
    """The internal API, and the use cases that only it needs.

    :param authentication: authenticates its requests.
    :param memory: memory budget for the outputs and files that requests hold.
    """

    name = "internal-api"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        runtime: IRuntime,
        store: IStore,
        events: EventBus,
        *,
        scheduler: Scheduler,
        routing: RoutingSubsystem,
        sessions: SessionsSubsystem,
        addresses: Addresses,
        authentication: Authentication,
        memory: Budget,
    ) -> None:
        idempotency: IdempotencyCache[ExecResult] = IdempotencyCache(
            reactor,
            _weigh,
            keep=settings.idempotency_seconds,
            entries=settings.idempotency_entries,
            capacity=settings.idempotency_memory,
        )
        subscribe_idempotency(events, idempotency)
        self.execution = Execution(runtime, runtime, settings.max_container_execs, settings.log_commands)
        self.files = Files(runtime, runtime, settings.file_size_limit)
        registration = PreviewRegistration(runtime, routing.previews, sessions.locks, events)
        links = Links(store, routing.access, routing.previews, addresses, events)
        self._sweep = scheduler.job(SWEEP, "expired-links", links.sweep)
        self.api = InternalApi(
            authentication,
            PreviewEndpoints(registration, links, addresses),
            SessionEndpoints(sessions.sessions),
            WorkspaceEndpoints(
                self.execution,
                self.files,
                idempotency,
                output_limit=settings.exec_output_limit,
                memory=memory,
            ),
            body_limit=settings.body_limit,
            memory=memory,
        )

    async def open(self) -> None:
        """Start the periodic removal of expired links."""
        self._sweep.start()

    async def close(self) -> None:
        """Stop it."""
        await self._sweep.stop()


def _weigh(outcome: ExecResult | Failure) -> int:
    return 1024 + output_size(outcome)
