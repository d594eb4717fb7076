"""``twistd sandbox``: the only place where the parts are put together, opened and closed."""

from __future__ import annotations

import atexit
import os
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
from sandbox.gateway.fallback import Fallback
from sandbox.gateway.pool import Pool
from sandbox.gateway.resource import PreviewResource
from sandbox.http.admission import STREAM, Admission, Refuse
from sandbox.http.deadlines import Deadlines
from sandbox.http.replies import reply_to
from sandbox.http.request import Request
from sandbox.http.routes import Route, Routes
from sandbox.http.site import Site
from sandbox.model import ExecResult
from sandbox.operations.execution import Execution
from sandbox.operations.files import Files
from sandbox.operations.idempotency import Replays
from sandbox.operations.previews import Previews
from sandbox.operations.reconciliation import Reconciliation
from sandbox.operations.sessions import Sessions
from sandbox.operations.turns import Turns
from sandbox.options import Options
from sandbox.runtimes.docker.runtime import DockerRuntime
from sandbox.runtimes.interface import IRuntime
from sandbox.settings import SettingError, Settings
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
        self._public = Site(Routes([]), reactor, admit=_starting)
        self._internal = Site(Routes([]), reactor, admit=_starting) if settings.internal_listen else self._public
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
        self._parts = parts = Parts(self._reactor, self._settings, self._store, runtime)
        await parts.open()
        for site in self._sites:
            routes = parts.routes(public=site is self._public, internal=site is self._internal)
            site.resource, site.admit = routes, routes.admit
        _log.info("ready on {addresses}", addresses=", ".join(map(_address, self._listeners)))

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

    def __init__(self, reactor: Any, settings: Settings, store: ISessionStore, runtime: IRuntime) -> None:
        self._runtime = runtime
        self._settings = settings
        self._turns = Turns(settings.session_queue)
        self._previews = Previews(runtime, settings.max_previews)
        self._sessions = Sessions(runtime, store, settings, turns=self._turns, dropped=self._previews.drop)
        self._reconciliation = Reconciliation(
            reactor, runtime, store, self._turns, interval=settings.reconcile_interval
        )
        replays: Replays[ExecResult] = Replays(reactor, _weigh, keep=600, entries=1000, capacity=64 * 1024 * 1024)
        api = InternalApi(
            sessions=self._sessions,
            execution=Execution(runtime),
            files=Files(runtime, settings.file_size_limit),
            previews=self._previews,
            replays=replays,
            output_limit=settings.exec_output_limit,
        )
        self._guard = Guard(settings.internal_service_key.encode("utf-8"), settings.body_limit)
        self._api = api.app.resource()
        self._pool = Pool(reactor, Deadlines(reactor))
        self._previews.on_drop(self._pool.drop_session)
        self._public_previews = PreviewResource(reactor, b"/previews/", self._previews, self._pool)
        self._internal_previews = PreviewResource(
            reactor, b"/internal-previews/proxy/", self._previews, self._pool, public_health=False
        )
        self._stop_following: Callable[[], None] = _nothing

    async def open(self) -> None:
        """Follow the engine, and make store and engine agree."""
        self._stop_following = self._previews.follow()
        await self._runtime.open()
        await self._reconciliation.open()

    def routes(self, *, public: bool, internal: bool) -> Routes:
        """The root of a site that serves one face of the daemon, or both."""
        routes = []
        if public:
            routes.append(Route(b"/previews/", _stream, self._public_previews))
        if internal:
            routes.append(Route(b"/api/internal/", self._guard.admit, self._api))
            guarded = self._guard.before(_stream)
            routes.append(Route(b"/internal-previews/proxy/", guarded, self._internal_previews))
        routes.append(Route(b"", _stream, Fallback(enabled=public)))
        return Routes(routes)

    async def close(self) -> None:
        """End the work that goes on, then let go of the engine."""
        await self._pool.close()
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
