"""The application: its subsystems in the order in which they open, and the roots of the sites that serve them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from sandbox.events.bus import EventBus
from sandbox.gateway.fallback import Fallback
from sandbox.gateway.hosts import PreviewHosts
from sandbox.http.admission import STREAM, Admission
from sandbox.http.authentication import authenticated
from sandbox.http.request import Request
from sandbox.http.routes import Root, Route, Routes
from sandbox.policy.budget import Budget
from sandbox.protocols.hostnames import Addresses
from sandbox.runtimes.interface import IRuntime
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.engine import EngineSubsystem
from sandbox.service.gateway import GatewaySubsystem
from sandbox.service.internal_api import InternalApiSubsystem
from sandbox.service.routing import RoutingSubsystem
from sandbox.service.sessions import SessionsSubsystem
from sandbox.service.subsystem import Subsystems
from sandbox.settings import Settings
from sandbox.stores.interface import IStore
from sandbox.telemetry.endpoints import Watch
from sandbox.telemetry.health import Check
from sandbox.telemetry.metrics import gateway, work
from sandbox.telemetry.monitoring import Monitoring


class Application(Subsystems):
    """Everything between the sites and the two seams, put together.

    :ivar events: connects the subsystems.
    :ivar memory: what requests hold of outputs and files.
    """

    name = "application"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: IStore,
        runtime: IRuntime,
        public_url: str,
        *,
        scheduler: Scheduler,
        monitoring: Monitoring,
    ) -> None:
        self._settings = settings
        self._store = store
        self._runtime = runtime
        self._monitoring = monitoring
        self.events = EventBus()
        self.memory = Budget(settings.answer_memory)
        self._addresses = Addresses(public_url, settings.preview_domain, settings.preview_path_form)
        # Subscribers of one event are called in the order of these lines.
        self.routing = RoutingSubsystem(reactor, settings, runtime, store, self.events, scheduler=scheduler)
        self._gateway = GatewaySubsystem(
            reactor, settings, self.routing.previews, self.routing.access, self.events, addresses=self._addresses
        )
        sessions = SessionsSubsystem(scheduler, settings, runtime, store, self.events)
        self._api = InternalApiSubsystem(
            reactor,
            settings,
            runtime,
            store,
            self.events,
            scheduler=scheduler,
            routing=self.routing,
            sessions=sessions,
            addresses=self._addresses,
            authentication=monitoring.service_key,
            memory=self.memory,
        )
        engine = EngineSubsystem(runtime, self.events)
        super().__init__(engine, self.routing, sessions, self._gateway, self._api)
        self._publish()

    def _publish(self) -> None:
        """Have what the subsystems count on the page of metrics."""
        for source in (
            partial(gateway.previews, self.routing.previews),
            partial(gateway.upstream, self._gateway.pool),
            partial(gateway.websockets, self._gateway.sockets),
            partial(work.executions, self._api.execution.counts),
            partial(work.files, self._api.files),
            partial(work.memory, self.memory),
        ):
            self._monitoring.publish(source)

    def root(self, *, public: bool, internal: bool) -> Root:
        """The root of a site that serves one face of the daemon, or both."""
        routes = []
        key, api = self._monitoring.service_key, self._api.api
        if public:
            routes.append(Route(b"/previews/", _stream, self._gateway.public, "preview"))
        if internal:
            routes.append(Route(api.prefix.encode("ascii") + b"/", api.admit, api.resource, "api"))
            guarded = authenticated(key, _stream)
            routes.append(Route(b"/internal-previews/proxy/", guarded, self._gateway.internal, "internal preview"))
        settings = self._settings
        chained = public and settings.preview_path_form and settings.preview_referer_fallback
        fallback = Fallback(enabled=chained, knows=key.knows, api=internal)
        routes.append(self._last_route(fallback, self._monitoring.watch(inside=not public)))
        return PreviewHosts(self._addresses, self._gateway.public, Routes(routes)) if public else Routes(routes)

    def _last_route(self, fallback: Fallback, watch: Watch) -> Route:
        """What no other route takes: a path of an application's that does not know its prefix, else one of ours."""

        def admit(request: Request) -> Admission:
            if fallback.preview(request) is None:
                watch.takes(request)
            return STREAM

        return Route(b"", admit, fallback)

    def checks(self) -> Mapping[str, Check]:
        """What must answer for the daemon to be ready."""
        return {"engine": self._runtime.ping, "store": self._store.ping}


def _stream(request: Request) -> Admission:
    return STREAM
