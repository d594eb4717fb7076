"""``twistd sandbox``: the only place where the parts are put together, opened and closed."""

from __future__ import annotations

import atexit
import os
import secrets
import signal
from collections.abc import Callable, Sequence
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.api.app import InternalApi
from sandbox.api.guard import Guard
from sandbox.errors import Overloaded, StoreUnavailable
from sandbox.gateway.access import PreviewAccess, registered_mode
from sandbox.gateway.bridge import Timing
from sandbox.gateway.fallback import Fallback
from sandbox.gateway.hosts import PreviewHosts
from sandbox.gateway.pool import Pool
from sandbox.gateway.resource import GatewayOptions, PreviewResource
from sandbox.gateway.websocket import WebSockets
from sandbox.http.admission import STREAM, Admission, Refuse
from sandbox.http.deadlines import Deadlines
from sandbox.http.replies import reply_to
from sandbox.http.request import Request
from sandbox.http.routes import Route, Routes
from sandbox.http.site import Limits, Site
from sandbox.model import ExecResult
from sandbox.operations.access import Access, Keys
from sandbox.operations.execution import Execution
from sandbox.operations.files import Files
from sandbox.operations.idempotency import Replays
from sandbox.operations.links import Links
from sandbox.operations.previews import Previews
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.operations.turns import Turns
from sandbox.options import Options
from sandbox.policy.access import Mode
from sandbox.policy.headers import TrustedProxies
from sandbox.policy.hostnames import Addresses
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.runtimes.interface import IRuntime
from sandbox.settings import STRONG, SettingError, Settings, weak_secrets
from sandbox.stores.factory import make_store
from sandbox.stores.interface import ISessionStore

_log = Logger()


def makeService(options: Options) -> Daemon:
    """The service that ``twistd sandbox`` runs."""
    from twisted.internet import reactor  # noqa: PLC0415, TID251 - installed by twistd; passed on to all

    try:
        return Daemon(reactor, options.settings, options["listen"])
    except SettingError as error:
        raise SystemExit(f"sandbox: {error}") from None


_STARTING = Refuse(reply_to(Overloaded("The daemon is starting", code="STARTING")))


def _starting(request: Request) -> Admission:
    return _STARTING


def _endpoint(settings: Settings) -> str:
    family = "tcp6" if ":" in settings.host else "tcp"
    return f"{family}:{settings.port}:interface={quoteStringArgument(settings.host)}"


@attrs.define
class _Listener:
    """An endpoint and the site behind it."""

    text: str
    endpoint: Any
    site: Site
    port: IListeningPort | None = None


def _address(listener: _Listener) -> str:
    """Where a listener is found: with the port that it got when it asked for any."""
    host = listener.port.getHost() if listener.port is not None else None
    if isinstance(host, IPv4Address | IPv6Address):
        return f"tcp:{host.port}:interface={host.host}"
    return listener.text


class Daemon(Service):
    """Owns everything: listens at once, answers 503 until store and engine are open, and closes all of it in order.

    :param listen: endpoints of the public site; none: the one that HOST and PORT name.
    :raises SettingError: for an endpoint that does not parse, and for what only a setting's user can judge.
    """

    name = "sandbox"

    def __init__(self, reactor: Any, settings: Settings, listen: Sequence[str] = ()) -> None:
        self._reactor = reactor
        self._settings = settings
        self._store = make_store(settings, reactor)
        limits = Limits.of(settings)
        self._public = self._internal = Site(Routes([]), reactor, admit=_starting, limits=limits)
        if settings.internal_listen:
            self._internal = Site(Routes([]), reactor, admit=_starting, limits=limits)
        self._sites = [self._public] if self._internal is self._public else [self._public, self._internal]
        public = [("--listen", text) for text in listen] or [("HOST and PORT", _endpoint(settings))]
        self._listeners = [self._listener(source, text, self._public) for source, text in public]
        if settings.internal_listen:
            self._listeners.append(self._listener("INTERNAL_LISTEN", settings.internal_listen, self._internal))
        self._opening: Deferred[None] | None = None
        self._parts: Parts | None = None

    def _listener(self, source: str, text: str, site: Site) -> _Listener:
        try:
            return _Listener(text, serverFromString(self._reactor, text), site)
        except (ValueError, TypeError, LookupError) as error:
            raise SettingError(f"{source} must be a Twisted server endpoint, not {text!r}: {error}") from None

    def privilegedStartService(self) -> None:
        """Listen. An address that cannot be had ends the start with one line."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        for listener in self._listeners:
            failed: list[Failure] = []
            listening = listener.endpoint.listen(listener.site)
            listening.addCallbacks(lambda port, which=listener: setattr(which, "port", port), failed.append)
            if failed:
                raise SystemExit(f"sandbox: cannot listen on {listener.text}: {failed[0].getErrorMessage()}")

    def startService(self) -> None:
        """Begin to open what the daemon stands on."""
        super().startService()  # type: ignore[no-untyped-call]
        for name in weak_secrets(self._settings):
            _log.warn("{name} is shorter than {strong} bytes: it can be guessed", name=name, strong=STRONG)
        self._reactor.callWhenRunning(self._end_well_on_term)
        self._opening = Deferred.fromCoroutine(self._open())
        self._opening.addErrback(self._give_up)

    def _end_well_on_term(self) -> None:
        # twistd kills itself with the signal once more when everything is closed, so that whoever waits sees a kill.
        # An end that was asked for and went well is exit status 0.
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self._reactor.stop))

    async def _open(self) -> None:
        await self._open_store()
        runtime = DockerRuntime(self._reactor, self._settings, await self._store.instance())
        self._parts = parts = Parts(self._reactor, self._settings, self._store, runtime, self._public_url())
        await parts.open()
        for site in self._sites:
            root = parts.root(public=site is self._public, internal=site is self._internal)
            site.resource, site.admit = root, root.admit
        _log.info("ready on {addresses}", addresses=", ".join(map(_address, self._listeners)))

    def _public_url(self) -> str:
        """Where browsers reach the public site: ``PUBLIC_URL``, else a port of this machine's own."""
        if self._settings.public_url is not None:
            return self._settings.public_url
        hosts = [each.port.getHost() for each in self._listeners if each.port is not None and each.site is self._public]
        ports = [host.port for host in hosts if isinstance(host, IPv4Address | IPv6Address)]
        return f"http://localhost:{ports[0] if ports else self._settings.port}"

    async def _open_store(self) -> None:
        """Open the store; a database that does not answer yet is waited for, and previews and API say 503 meanwhile."""
        delay = 0.5
        while True:
            try:
                return await self._store.open()
            except StoreUnavailable as error:
                _log.error("the store cannot be opened: {error}; trying again", error=error.message)
            await deferLater(self._reactor, delay)
            delay = min(delay * 2, 15.0)

    def _give_up(self, failure: Failure) -> None:
        if not self.running:
            return
        if failure.check(SettingError):
            _log.critical("sandbox cannot start: {error}", error=failure.getErrorMessage())
        else:
            _log.failure("sandbox cannot start", failure=failure)
        # twistd has no other way to end with a status when a service fails after the start.
        atexit.register(os._exit, 1)
        self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Stop listening, let requests finish for a while, kill what runs still, close everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for listener in self._listeners:
            if listener.port is not None:
                await maybeDeferred(listener.port.stopListening)
        if self._opening is not None:
            self._opening.cancel()
        if self._parts is not None:
            self._parts.drain()
        drains = [site.drain(self._settings.drain_seconds) for site in self._sites]
        for drained in drains:
            await drained
        if self._parts is not None:
            # Commands that still run are killed as a timeout would; their callers get a moment to hear of it.
            await self._parts.close()
            await deferLater(self._reactor, 0.1)
        for site in self._sites:
            site.abort()
        await self._store.close()


class Parts:
    """What stands between the sites and the two seams."""

    def __init__(
        self, reactor: Any, settings: Settings, store: ISessionStore, runtime: IRuntime, public_url: str
    ) -> None:
        self._runtime = runtime
        self._settings = settings
        self._turns = Turns(settings.session_queue)
        self._previews = Previews(runtime, settings.max_previews)
        self._access = Access(
            reactor,
            store,
            # Without a secret of the platform's, links end with the daemon, as registrations do.
            Keys(settings.jwt_secrets, spare=secrets.token_bytes(32)),
            leeway=settings.jwt_leeway,
            keep=settings.access_cache_seconds,
            keep_nothing=settings.access_negative_cache_seconds,
            cookie_lifetime=settings.preview_cookie_seconds,
        )
        self._sessions = Sessions(
            runtime,
            store,
            settings,
            turns=self._turns,
            dropped=self._previews.drop,
            changed=self._access.session_changed,
        )
        self._reconciliation = Reconciliation(
            reactor, runtime, store, self._turns, interval=settings.reconcile_interval
        )
        self._addresses = Addresses(public_url, settings.preview_domain, settings.preview_path_form)
        replays: Replays[ExecResult] = Replays(reactor, _weigh, keep=600, entries=1000, capacity=64 * 1024 * 1024)
        api = InternalApi(
            sessions=self._sessions,
            execution=Execution(runtime),
            files=Files(runtime, settings.file_size_limit),
            previews=self._previews,
            replays=replays,
            addresses=self._addresses,
            links=Links(store, self._access, self._previews, self._addresses),
            output_limit=settings.exec_output_limit,
        )
        self._guard = Guard(settings.internal_service_key.encode("utf-8"), settings.body_limit)
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

    async def open(self) -> None:
        """Follow the engine, and make store and engine agree."""
        self._stop_following = self._previews.follow()
        await self._runtime.open()
        await self._reconciliation.open()

    def root(self, *, public: bool, internal: bool) -> PreviewHosts | Routes:
        """The root of a site that serves one face of the daemon, or both."""
        routes = []
        if public:
            routes.append(Route(b"/previews/", _stream, self._public_previews))
        if internal:
            routes.append(Route(b"/api/internal/", self._guard.admit, self._api))
            guarded = self._guard.before(_stream)
            routes.append(Route(b"/internal-previews/proxy/", guarded, self._internal_previews))
        settings = self._settings
        chained = public and settings.preview_path_form and settings.preview_referer_fallback
        routes.append(Route(b"", _stream, Fallback(enabled=chained)))
        return PreviewHosts(self._addresses, self._public_previews, Routes(routes)) if public else Routes(routes)

    def drain(self) -> None:
        """Begin to close what would go on for ever: the sites wait for it as for requests."""
        self._sockets.drain()

    async def close(self) -> None:
        """End the work that goes on, then let go of the engine."""
        await self._pool.close()
        self._access.close()
        await self._reconciliation.close()
        self._stop_following()
        await self._runtime.close()
        await self._turns.idle()


def _nothing() -> None:
    pass


def _stream(request: Request) -> Admission:
    return STREAM


def _weigh(outcome: ExecResult | Failure) -> int:
    if isinstance(outcome, Failure):
        return 1024
    return 1024 + len(outcome.stdout) + len(outcome.stderr)
