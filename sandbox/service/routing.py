"""Routing subsystem: the registry of previews and their access control."""

from __future__ import annotations

import secrets
from typing import Any

from sandbox.domain.events import SecretsChanged
from sandbox.domain.principals import SYSTEM
from sandbox.events.bus import EventBus
from sandbox.routing.access import Access, Keys
from sandbox.routing.authorizations import LOOK
from sandbox.routing.previews import Previews
from sandbox.runtimes.interface import IRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.subscriptions import subscribe_access, subscribe_registry
from sandbox.service.subsystem import Subsystem
from sandbox.settings import Settings
from sandbox.stores.interface import IStore


class RoutingSubsystem(Subsystem):
    """Resolves the destinations of previews, and decides on access to them.

    :ivar previews: the registry.
    :ivar access: verifies credentials.
    """

    name = "routing"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        runtime: IRuntime,
        store: IStore,
        events: EventBus,
        *,
        scheduler: Scheduler,
    ) -> None:
        self._events = events
        self._secrets = settings.jwt_secrets
        self.previews = Previews(runtime, settings.max_previews)
        self.access = Access(
            reactor,
            store,
            # Without a JWT_SECRET, links are signed with a random key and end with the daemon, as registrations do.
            Keys(settings.jwt_secrets, secrets.token_bytes(32)),
            leeway=settings.jwt_leeway,
            keep=settings.access_cache_seconds,
            keep_nothing=settings.access_negative_cache_seconds,
            cookie_lifetime=settings.preview_cookie_seconds,
        )
        self._expiry = scheduler.job(LOOK, "authorizations", self.access.end_expired)
        subscribe_access(events, self.access)
        subscribe_registry(events, self.previews)

    def reconfigure(self, settings: Settings) -> None:
        """Publish a change of the platform's secrets."""
        if settings.jwt_secrets != self._secrets:
            self._secrets = settings.jwt_secrets
            self._events.publish(SecretsChanged(settings.jwt_secrets, by=SYSTEM))

    async def open(self) -> None:
        """Start the periodic check that ends connections with expired authorizations."""
        self._expiry.start()

    async def close(self) -> None:
        """Stop the check."""
        await self._expiry.stop()
