"""Gateway subsystem: the reverse proxy of previews."""

from __future__ import annotations

from typing import Any

from sandbox.events.bus import EventBus
from sandbox.gateway.access import PreviewAccess, registered_mode
from sandbox.gateway.bridge import Timing
from sandbox.gateway.host_probe import HostProbe
from sandbox.gateway.resource import GatewayOptions, PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.gateway.websocket import WebSockets
from sandbox.net.deadlines import Deadlines
from sandbox.policy.access import Mode
from sandbox.protocols.hostnames import Addresses
from sandbox.protocols.http1.headers import TrustedProxies
from sandbox.routing.access import Access
from sandbox.routing.previews import Previews
from sandbox.service.subscriptions import subscribe_connections
from sandbox.service.subsystem import Subsystem
from sandbox.settings import Settings


class GatewaySubsystem(Subsystem):
    """Connections to applications, and the resources that use them.

    :ivar public: previews for browsers, with access control.
    :ivar internal: previews for clients with the service key.
    """

    name = "gateway"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        previews: Previews,
        access: Access,
        events: EventBus,
        *,
        addresses: Addresses,
    ) -> None:
        self.pool = Pool.of(reactor, Deadlines(reactor), settings)
        timing = Timing(
            ping=settings.preview_websocket_ping,
            pong=settings.preview_websocket_pong_timeout,
            close=settings.preview_websocket_close_timeout,
        )
        self.sockets = WebSockets(reactor, self.pool, timing)
        subscribe_connections(events, self.sockets, self.pool)
        trusted = TrustedProxies(settings.trusted_proxies)
        hosts = HostProbe(
            self.pool,
            reactor,
            addresses,
            timeout=settings.preview_health_timeout,
            retry=settings.preview_host_retry,
        )
        mode = registered_mode(previews, settings.enable_preview_access_control)
        self.public = PreviewResource(
            reactor,
            b"/previews/",
            previews,
            self.pool,
            authorize=PreviewAccess(access, mode, public_url=addresses.public_url, trusted=trusted),
            upgrades=self.sockets,
            hosts=hosts,
            options=GatewayOptions.of(settings),
            path_form=settings.preview_path_form,
        )
        self.internal = PreviewResource(
            reactor,
            b"/internal-previews/proxy/",
            previews,
            self.pool,
            # Admission has checked the service key. Here, too, the platform's credentials must not reach the container.
            authorize=PreviewAccess(access, lambda _: Mode.PUBLIC, public_url=addresses.public_url, trusted=trusted),
            upgrades=self.sockets,
            hosts=hosts,
            options=GatewayOptions.of(settings),
            public_health=False,
        )

    def drain(self) -> None:
        """Close WebSockets with 1012, "service restart"."""
        self.sockets.drain()

    async def close(self) -> None:
        """Close every connection to an application."""
        await self.pool.close()
