"""``twistd sandbox``: the only place where the parts are put together."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from sandbox.api.framework.guard import Guard
from sandbox.api.internal.api import InternalApi
from sandbox.domain.model import ExecResult
from sandbox.gateway.access import PreviewAccess, registered_mode
from sandbox.gateway.bridge import Timing
from sandbox.gateway.fallback import Fallback
from sandbox.gateway.hosts import PreviewHosts
from sandbox.gateway.resource import GatewayOptions, PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.gateway.websocket import WebSockets
from sandbox.http.admission import STREAM, Admission
from sandbox.http.request import Request
from sandbox.http.routes import Root, Route, Routes
from sandbox.net.deadlines import Deadlines
from sandbox.net.keyed_locks import KeyedLocks
from sandbox.operations.execution import Execution
from sandbox.operations.files import Files
from sandbox.operations.idempotency import IdempotencyCache
from sandbox.operations.links import Links
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.options import Options
from sandbox.policy.access import Mode
from sandbox.protocols.hostnames import Addresses
from sandbox.protocols.http1.headers import TrustedProxies
from sandbox.routing.access import Access, Keys
from sandbox.routing.previews import Previews
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.runtimes.interface import IRuntime
from sandbox.service.daemon import Daemon
from sandbox.service.notify import Notify
from sandbox.service.reload import Reload
from sandbox.settings import SettingError, Settings
from sandbox.stores.factory import make_store
from sandbox.stores.interface import ISessionStore
from sandbox.stores.measured import InstrumentedStore
from sandbox.telemetry.endpoints import Watch
from sandbox.telemetry.health import Check
from sandbox.telemetry.metrics import gateway, work
from sandbox.telemetry.monitoring import Monitoring


def makeService(options: Options) -> Daemon:
    """The service that ``twistd sandbox`` runs."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 - installed by twistd; passed on to all

    settings, logs = options.settings, options.logs
    reload = Reload(reactor, options.source, settings)
    if logs is not None:
        reload.on_change(lambda now: logs.set_level(now.log_level))
    guard = Guard(settings.internal_service_key.encode("utf-8"), settings.body_limit)
    reload.on_change(lambda now: setattr(guard, "key", now.internal_service_key.encode("utf-8")))
    monitoring = Monitoring(reactor, settings, guard, logs)
    try:
        store = InstrumentedStore(make_store(settings, reactor))
        monitoring.publish_calls("sandbox_store", "database", store.calls)
        monitoring.publish_workers(lambda: {"database": store.workers})

        def build(instance: str, public_url: str) -> Application:
            # There may have been a reload while the store was not there.
            now = reload.settings
            runtime = DockerRuntime(reactor, now, instance)
            monitoring.publish_calls("sandbox_engine", "Docker engine", runtime.calls)
            monitoring.publish_workers(lambda: runtime.workers)
            monitoring.publish(lambda: work.engine(runtime.stream, runtime.sessions, reactor.seconds()))
            parts = Application(reactor, now, store, runtime, public_url, monitoring=monitoring)
            reload.on_change(parts.use)
            return parts

        return Daemon(
            reactor,
            settings,
            store,
            build,
            options["listen"],
            logs=logs,
            monitoring=monitoring,
            notify=Notify(reactor, os.environ),
            reload=reload,
        )
    except SettingError as error:
        raise SystemExit(f"sandbox: {error}") from None


class Application:
    """What stands between the sites and the two seams."""

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: ISessionStore,
        runtime: IRuntime,
        public_url: str,
        *,
        monitoring: Monitoring,
    ) -> None:
        self._store = store
        self._monitoring = monitoring
        self._guard = monitoring.guard
        self._runtime = runtime
        self._settings = settings
        # Without a secret of the platform's, links end with the daemon, as registrations do.
        self._spare_secret = secrets.token_bytes(32)
        self._locks = KeyedLocks(settings.session_queue)
        self._previews = Previews(runtime, settings.max_previews)
        self._access = Access(
            reactor,
            store,
            Keys(settings.jwt_secrets, self._spare_secret),
            leeway=settings.jwt_leeway,
            keep=settings.access_cache_seconds,
            keep_nothing=settings.access_negative_cache_seconds,
            cookie_lifetime=settings.preview_cookie_seconds,
        )
        self._sessions = Sessions(
            runtime,
            store,
            settings,
            locks=self._locks,
            dropped=self._previews.drop,
            changed=self._changed,
        )
        self._reconciliation = Reconciliation(
            reactor,
            runtime,
            store,
            self._locks,
            interval=settings.reconcile_interval,
            changed=self._changed,
        )
        self._addresses = Addresses(public_url, settings.preview_domain, settings.preview_path_form)
        self._idempotency: IdempotencyCache[ExecResult] = IdempotencyCache(
            reactor, _weigh, keep=600, entries=1000, capacity=64 * 1024 * 1024
        )
        execution, files = Execution(runtime, settings.log_commands), Files(runtime, settings.file_size_limit)
        api = InternalApi(
            sessions=self._sessions,
            execution=execution,
            files=files,
            previews=self._previews,
            idempotency=self._idempotency,
            addresses=self._addresses,
            links=Links(store, self._access, self._previews, self._addresses),
            output_limit=settings.exec_output_limit,
        )
        self._api = api.app.resource()
        self._pool = Pool.of(reactor, Deadlines(reactor), settings)
        timing = Timing(
            ping=settings.preview_websocket_ping,
            pong=settings.preview_websocket_pong_timeout,
            close=settings.preview_websocket_close_timeout,
        )
        self._sockets = WebSockets(reactor, self._pool, timing)
        # In this order: WebSockets say goodbye before the pool breaks their connections.
        self._previews.on_drop(self._sockets.drop_session)
        self._previews.on_drop(self._pool.drop_session)
        trusted = TrustedProxies(settings.trusted_proxies)
        mode = registered_mode(self._previews, settings.enable_preview_access_control)
        self._public_previews = PreviewResource(
            reactor,
            b"/previews/",
            self._previews,
            self._pool,
            authorize=PreviewAccess(self._access, mode, public_url=public_url, trusted=trusted),
            upgrades=self._sockets,
            options=GatewayOptions.of(settings),
            path_form=settings.preview_path_form,
        )
        self._internal_previews = PreviewResource(
            reactor,
            b"/internal-previews/proxy/",
            self._previews,
            self._pool,
            # Nobody is asked: the key has been. What is ours does not go to the container from here either.
            authorize=PreviewAccess(self._access, lambda _: Mode.PUBLIC, public_url=public_url, trusted=trusted),
            upgrades=self._sockets,
            options=GatewayOptions.of(settings),
            public_health=False,
        )
        self._stop_following: Callable[[], None] = _nothing
        for source in (
            partial(gateway.previews, self._previews),
            partial(gateway.upstream, self._pool),
            partial(gateway.websockets, self._sockets),
            partial(work.executions, execution.counts),
            partial(work.files, files),
        ):
            monitoring.publish(source)

    def _changed(self, session_id: str) -> None:
        """What was known of a session holds no longer: it begins or ends."""
        self._access.session_changed(session_id)
        self._idempotency.forget(session_id)

    def use(self, settings: Settings) -> None:
        """Take the secrets of these settings from now on."""
        if settings.jwt_secret != self._settings.jwt_secret:
            self._access.use_keys(Keys(settings.jwt_secrets, self._spare_secret))
        self._settings = settings

    async def open(self) -> None:
        """Follow the engine, and make store and engine agree."""
        self._stop_following = self._previews.follow()
        await self._runtime.open()
        await self._reconciliation.open()

    def root(self, *, public: bool, internal: bool) -> Root:
        """The root of a site that serves one face of the daemon, or both."""
        routes = []
        if public:
            routes.append(Route(b"/previews/", _stream, self._public_previews, "preview"))
        if internal:
            routes.append(Route(b"/api/internal/", self._guard.admit, self._api, "api"))
            guarded = self._guard.before(_stream)
            routes.append(Route(b"/internal-previews/proxy/", guarded, self._internal_previews, "internal preview"))
        settings = self._settings
        chained = public and settings.preview_path_form and settings.preview_referer_fallback
        routes.append(self._last_route(Fallback(enabled=chained), self._monitoring.watch(inside=not public)))
        return PreviewHosts(self._addresses, self._public_previews, Routes(routes)) if public else Routes(routes)

    def _last_route(self, fallback: Fallback, watch: Watch) -> Route:
        """What no other route takes: a path of an application's that does not know its prefix, else one of ours."""

        def admit(request: Request) -> Admission:
            if fallback.preview(request) is None:
                watch.takes(request)
            return STREAM

        return Route(b"", admit, fallback)

    def checks(self) -> Mapping[str, Check]:
        """What tells whether it can do its work."""
        return {"engine": self._runtime.ping, "store": self._store.ping}

    def drain(self) -> None:
        """Begin to close what would go on for ever: the sites wait for it as for requests."""
        self._sockets.drain()

    async def close(self) -> None:
        """End the work that goes on, then let go of the engine."""
        await self._pool.close()
        self._access.close()
        await self._reconciliation.close()
        # A session that is being made or removed is made or removed to its end.
        await self._locks.idle()
        self._stop_following()
        await self._runtime.close()


def _nothing() -> None:
    pass


def _stream(request: Request) -> Admission:
    return STREAM


def _weigh(outcome: ExecResult | Failure) -> int:
    if isinstance(outcome, Failure):
        return 1024
    return 1024 + len(outcome.stdout) + len(outcome.stderr)
