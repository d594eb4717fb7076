"""Monitoring of the daemon, composed: request ids, access log, health and metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from resource import RLIMIT_NOFILE, getrlimit
from typing import Any

import attrs

from sandbox.domain.errors import Overloaded
from sandbox.http.access_log import AccessLog
from sandbox.http.admission import STREAM, Admission, Refuse
from sandbox.http.authentication import ServiceKey
from sandbox.http.connection_limiter import ConnectionLimiter
from sandbox.http.identity import RequestIds
from sandbox.http.limits import Limits
from sandbox.http.replies import reply_to
from sandbox.http.request import Request
from sandbox.http.routes import Root
from sandbox.http.site import Site
from sandbox.http.traffic import Traffic
from sandbox.net.instruments import CallStats, PoolUsage
from sandbox.policy.connections import ConnectionLimits
from sandbox.protocols.hostnames import Addresses
from sandbox.protocols.http1.headers import TrustedProxies
from sandbox.scheduling.scheduler import Scheduler
from sandbox.settings import Settings
from sandbox.telemetry.endpoints import ROUTES, Watch
from sandbox.telemetry.health import Health
from sandbox.telemetry.logs.output import Output
from sandbox.telemetry.metrics import gateway, process, work
from sandbox.telemetry.metrics.lag import Lag
from sandbox.telemetry.metrics.page import Page

_STARTING = Refuse(reply_to(Overloaded("The daemon is starting", code="STARTING")))


class Starting(Root):
    """The root of a site during the start: the monitoring endpoints, and 503 for everything else.

    :param addresses: recognises the hosts of previews, where every path belongs to an application.
    """

    def __init__(self, watch: Watch, addresses: Addresses) -> None:
        super().__init__()
        self._watch = watch
        self._addresses = addresses

    def admit(self, request: Request) -> Admission:
        """Admit a request to a monitoring endpoint; refuse any other."""
        preview = self._addresses.read_host(request.known.get(b"host", b""))
        return STREAM if preview is None and self._watch.takes(request) else _STARTING


class Monitoring:
    """Creates the sites with their monitoring, before the application exists.

    :ivar service_key: authorizes access to the details.
    :param logs: the log's output, if the daemon opened it.
    :ivar health: the daemon's health, updated by its parts.
    """

    def __init__(self, reactor: Any, settings: Settings, service_key: ServiceKey, logs: Output | None) -> None:
        self._reactor = reactor
        self._settings = settings
        self.service_key = service_key
        self.health = Health(reactor, settings.health_timeout)
        self._trusted = TrustedProxies(settings.trusted_proxies)
        self._ids = RequestIds(self._trusted)
        self._access_log = AccessLog(settings.access_log, settings.access_log_rate, ROUTES)
        self._traffic = Traffic()
        self._sites: dict[str, Site] = {}
        self._lag = Lag()
        self._page = Page()
        self.publish = self._page.add
        for source in (process.build, partial(process.state, self.health), partial(process.lag, self._lag)):
            self.publish(source)
        if logs is not None:
            self.publish(partial(process.log, logs))
        self.publish(partial(gateway.requests, self._traffic))
        self.publish(partial(gateway.connections, self._sites))
        self._pools: list[Callable[[], Mapping[str, PoolUsage]]] = []
        self.publish(lambda: work.workers({name: each for pools in self._pools for name, each in pools().items()}))

    def site(self, name: str, *, inside: bool) -> Site:
        """Make a site with request ids, access log and metrics, which serves the monitoring endpoints at once.

        :param name: label of its connections in metrics.
        :param inside: see :class:`sandbox.telemetry.endpoints.Watch`.
        """
        settings = self._settings
        root = Starting(self.watch(inside=inside), Addresses("", settings.preview_domain))
        limits = ConnectionLimits.of(
            settings.http_connections, settings.http_connections_per_peer, getrlimit(RLIMIT_NOFILE)[0]
        )
        if inside:
            # All requests there are the platform's, possibly from one machine.
            limits = attrs.evolve(limits, per_peer=limits.total)
        self._sites[name] = site = Site(
            root,
            self._reactor,
            admit=root.admit,
            limits=Limits.of(settings),
            ids=self._ids,
            traffic=self._traffic,
            limiter=ConnectionLimiter(self._reactor, limits, self._trusted),
            observe=self._access_log,
        )
        return site

    def watch(self, *, inside: bool) -> Watch:
        """Create the resource of the monitoring endpoints."""
        return Watch(self.health, self._page.render, self.service_key, inside=inside)

    def publish_calls(self, prefix: str, of: str, calls: Mapping[str, CallStats]) -> None:
        """Publish metrics of calls; see :func:`sandbox.telemetry.metrics.work.calls`."""
        self.publish(partial(work.calls, prefix, of, calls))

    def publish_workers(self, pools: Callable[[], Mapping[str, PoolUsage]]) -> None:
        """Publish metrics of pools of threads or connections, by name."""
        self._pools.append(pools)

    def start(self, scheduler: Scheduler) -> None:
        """Start the periodic measurements."""
        self._lag.start(scheduler)
