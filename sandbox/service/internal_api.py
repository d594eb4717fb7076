"""The subsystem of the internal API: its use cases, and their endpoints."""

from __future__ import annotations

from typing import Any

from twisted.python.failure import Failure

from sandbox.api.internal.api import InternalApi
from sandbox.domain.model import ExecResult
from sandbox.events.bus import EventBus
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
    """The API's resource, and the use cases that only it has.

    :param memory: what requests hold of outputs and files.
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
        self.execution = Execution(runtime, settings.max_container_execs, settings.log_commands)
        self.files = Files(runtime, settings.file_size_limit)
        links = Links(store, routing.access, routing.previews, addresses, events)
        self._sweep = scheduler.job(SWEEP, "expired-links", links.sweep)
        api = InternalApi(
            sessions=sessions.sessions,
            execution=self.execution,
            files=self.files,
            registration=PreviewRegistration(runtime, routing.previews, sessions.locks, events),
            idempotency=idempotency,
            addresses=addresses,
            links=links,
            output_limit=settings.exec_output_limit,
            memory=memory,
        )
        self.resource = api.app.resource()

    async def open(self) -> None:
        """Remove links that are over now and then."""
        self._sweep.start()

    async def close(self) -> None:
        """Remove them no more."""
        await self._sweep.stop()


def _weigh(outcome: ExecResult | Failure) -> int:
    return 1024 + output_size(outcome)
