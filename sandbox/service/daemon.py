"""The daemon's lifecycle: listen, open, serve, drain, close."""

from __future__ import annotations

import atexit
import gc
import os
import signal
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import attrs
from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import quoteStringArgument, serverFromString
from twisted.internet.error import ReactorNotRunning
from twisted.internet.interfaces import IListeningPort
from twisted.logger import ILogObserver, Logger
from twisted.python.components import Componentized
from twisted.python.failure import Failure

from sandbox.domain.errors import StoreUnavailable
from sandbox.http.site import Site
from sandbox.net.timers import sleep
from sandbox.scheduling.scheduler import Scheduler
from sandbox.service.application import Application
from sandbox.service.notify import Notify
from sandbox.service.reload import Reload
from sandbox.settings import SettingError, Settings
from sandbox.settings.kinds import is_loopback
from sandbox.stores.interface import IStore
from sandbox.telemetry.logs.output import Output
from sandbox.telemetry.monitoring import Monitoring

_log = Logger()
#: Seconds to deliver the responses of killed commands to slow clients.
_LAST_ANSWERS = 1.0
#: The listen backlog. When it is full, the kernel drops the SYNs of other clients, which retry after a second: with
#: Twisted's default of 50, a flood of new connections would delay every other client by that.
_BACKLOG = 4096


def _endpoint(settings: Settings) -> str:
    family = "tcp6" if ":" in settings.host else "tcp"
    return f"{family}:{settings.port}:backlog={_BACKLOG}:interface={quoteStringArgument(settings.host)}"


@attrs.define
class _Listener:
    """An endpoint and the site behind it."""

    text: str
    endpoint: Any
    site: Site
    port: IListeningPort | None = None


def _address(listener: _Listener) -> str:
    """The address of a listener, with the actual port when the endpoint has port 0."""
    host = listener.port.getHost() if listener.port is not None else None
    if isinstance(host, IPv4Address | IPv6Address):
        return f"tcp:{host.port}:interface={host.host}"
    return listener.text


class Daemon(Service):
    """The root service: listens at once, responds with 503 until store and engine are open, and closes all in order.

    :param scheduler: runs the periodic jobs of all parts.
    :param store: the store, not yet open.
    :param build: creates the application that the sites serve, from the installation's name and the public URL; called
        when the store is open.
    :param listen: endpoints of the public site; none: the one that HOST and PORT name.
    :param logs: twistd's log output; ``None``: twistd's own choice.
    :param monitoring: creates the sites and serves the monitoring endpoints.
    :param notify: notifies the service manager of the daemon's state.
    :param reload: called at SIGHUP, in addition to reopening the log.
    :raises SettingError: for an endpoint that does not parse.
    """

    name = "sandbox"

    def __init__(
        self,
        reactor: Any,
        settings: Settings,
        store: IStore,
        build: Callable[[str, str], Application],
        listen: Sequence[str] = (),
        *,
        scheduler: Scheduler,
        logs: Output | None = None,
        monitoring: Monitoring,
        notify: Notify,
        reload: Reload,
    ) -> None:
        self._reactor = reactor
        self._scheduler = scheduler
        self._settings = settings
        self._store = store
        self._build = build
        self._logs = logs
        self._monitoring = monitoring
        self._notify = notify
        self._reload = reload
        self._reloading: Deferred[None] | None = None
        self._reload_again = False
        self._public = self._internal = monitoring.site("public", inside=False)
        if settings.internal_listen:
            self._internal = monitoring.site("internal", inside=True)
        self._sites = [self._public] if self._internal is self._public else [self._public, self._internal]
        public = [("--listen", text) for text in listen] or [("HOST and PORT", _endpoint(settings))]
        self._listeners = [self._listener(source, text, self._public) for source, text in public]
        if settings.internal_listen:
            self._listeners.append(self._listener("INTERNAL_LISTEN", settings.internal_listen, self._internal))
        self._opening: Deferred[None] | None = None
        self._application: Application | None = None

    def _listener(self, source: str, text: str, site: Site) -> _Listener:
        try:
            return _Listener(text, serverFromString(self._reactor, text), site)
        except (ValueError, TypeError, LookupError) as error:
            raise SettingError(f"{source} must be a Twisted server endpoint, not {text!r}: {error}") from None

    def setServiceParent(self, parent: Any) -> None:
        """Set the log's observer on twistd's application, where twistd finds it before it starts any service."""
        super().setServiceParent(parent)  # type: ignore[no-untyped-call]
        if self._logs is not None and isinstance(parent, Componentized):
            parent.setComponent(ILogObserver, self._logs)

    def privilegedStartService(self) -> None:
        """Listen. When an address is not available, exit with an error of one line."""
        super().privilegedStartService()  # type: ignore[no-untyped-call]
        for listener in self._listeners:
            failed: list[Failure] = []
            listening = listener.endpoint.listen(listener.site)
            listening.addCallbacks(lambda port, which=listener: setattr(which, "port", port), failed.append)
            if failed:
                raise SystemExit(f"sandbox: cannot listen on {listener.text}: {failed[0].getErrorMessage()}")

    def startService(self) -> None:
        """Start to open store and engine."""
        super().startService()  # type: ignore[no-untyped-call]
        self._reload.warn()
        self._warn_of_exposure()
        self._reactor.callWhenRunning(self.install_signal_handlers)
        self._monitoring.start(self._scheduler)
        self._notify.start(self._scheduler)
        self._notify.status("starting")
        self._opening = Deferred.fromCoroutine(self._open())
        self._opening.addErrback(self._give_up)

    def _warn_of_exposure(self) -> None:
        for listener in self._listeners:
            host = listener.port.getHost() if listener.port is not None else None
            serves_api = listener.site is self._internal
            if serves_api and isinstance(host, IPv4Address | IPv6Address) and not is_loopback(host.host):
                _log.warn(
                    "the internal API listens on {address}, where containers and the network reach it: only the "
                    "service key guards it; INTERNAL_LISTEN=tcp:4003:interface=127.0.0.1 keeps it on loopback",
                    address=_address(listener),
                )

    def install_signal_handlers(self) -> None:
        # twistd sends SIGTERM to itself again after shutdown, so that its parent sees a death by signal. These handlers
        # replace its own, so that a clean shutdown has exit status 0.
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self.on_sigterm))
        signal.signal(signal.SIGHUP, lambda *_: self._reactor.callFromThread(self.on_sighup))

    def on_sigterm(self) -> None:
        if self.running:
            with suppress(ReactorNotRunning):
                self._reactor.stop()
        else:
            # Second SIGTERM: end the drain.
            for site in self._sites:
                site.abort()

    def on_sighup(self) -> None:
        if self._logs is not None:
            self._logs.reopen()
        self._reload_again = True
        if self._reloading is None and self.running:
            self._reloading = Deferred.fromCoroutine(self._read_anew())
            self._reloading.addErrback(lambda failure: _log.failure("reload failed", failure=failure))
            self._reloading.addCallback(self._reloaded)

    async def _read_anew(self) -> None:
        self._notify.reloading()
        while self._reload_again:
            self._reload_again = False
            await self._reload.run()

    def _reloaded(self, _: object) -> None:
        self._reloading = None
        self._notify.reloaded()

    async def _open(self) -> None:
        await self._open_store()
        self._application = application = self._build(await self._store.instance(), self._public_url())
        await application.open()
        for site in self._sites:
            root = application.root(public=site is self._public, internal=site is self._internal)
            site.resource, site.admit = root, root.admit
        # Everything allocated so far is permanent: exclude it from garbage collections, each of which would otherwise
        # block the reactor for 50 ms.
        gc.collect()
        gc.freeze()
        self._monitoring.health.ready(application.checks())
        addresses = ", ".join(map(_address, self._listeners))
        _log.info("ready on {addresses}", addresses=addresses)
        self._notify.ready(f"ready on {addresses}")

    def _public_url(self) -> str:
        """The origin of the public site for browsers: ``PUBLIC_URL``, else its port on localhost."""
        if self._settings.public_url is not None:
            return self._settings.public_url
        hosts = [each.port.getHost() for each in self._listeners if each.port is not None and each.site is self._public]
        ports = [host.port for host in hosts if isinstance(host, IPv4Address | IPv6Address)]
        return f"http://localhost:{ports[0] if ports else self._settings.port}"

    async def _open_store(self) -> None:
        """Open the store and acquire its lease. Retry while the database is unavailable or another daemon has the
        lease; previews and API respond with 503 meanwhile."""
        delay = 0.5
        while True:
            try:
                await self._store.open()
                return await self._store.acquire_lease()
            except StoreUnavailable as error:
                _log.error("cannot open the store: {error}; retrying", error=error.message)
                self._notify.status(f"waiting for the store: {error.message}")
                self._monitoring.health.starting(f"The store cannot be opened: {error.message}")
            await sleep(self._reactor, delay)
            delay = min(delay * 2, 5.0)

    def _give_up(self, failure: Failure) -> None:
        if not self.running:
            return
        if failure.check(SettingError):
            _log.critical("sandbox cannot start: {error}", error=failure.getErrorMessage())
        else:
            _log.failure("sandbox cannot start", failure=failure)
        # twistd has no other way to set an exit status when a service fails after the start.
        atexit.register(os._exit, 1)
        self._reactor.stop()

    def stopService(self) -> Deferred[None]:
        """Stop listening, drain requests, kill the remaining commands, and close everything."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        self._monitoring.health.draining()
        self._notify.stopping("draining requests")
        # Cancelled first, so that the daemon does not become ready during shutdown.
        if self._opening is not None:
            self._opening.cancel()
        for listener in self._listeners:
            if listener.port is not None:
                await maybeDeferred(listener.port.stopListening)
        if self._application is not None:
            self._application.drain()
        drains = [site.drain(self._settings.drain_seconds) for site in self._sites]
        for drained in drains:
            await drained
        if self._application is not None:
            # Closing kills running commands as a timeout does; the sites then deliver their responses.
            await self._application.close()
            for drained in [site.drain(_LAST_ANSWERS) for site in self._sites]:
                await drained
        for site in self._sites:
            site.abort()
        await self._store.close()
        # Last, so that watchdog notifications continue until the reactor stops.
        await self._scheduler.close()
        self._notify.close()
