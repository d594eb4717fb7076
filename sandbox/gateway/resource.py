"""The reverse proxy resource of previews (contract section 5)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.proxy import ReverseProxyResource
from twisted.web.server import NOT_DONE_YET

from sandbox.domain.errors import PreviewNotRegistered
from sandbox.domain.host_verdicts import HostMode
from sandbox.domain.model import Destination, Preview
from sandbox.gateway.health import REFUSED, Probes
from sandbox.gateway.host_probe import HostProbe
from sandbox.gateway.interfaces import AccessDecision, Admitted, Authorize, Resolver, Upgrades, UpstreamRequest
from sandbox.gateway.pages import respond, respond_error
from sandbox.gateway.upstream.pool import Pool
from sandbox.gateway.upstream.relay import Relay
from sandbox.http.replies import Reply, error_reply
from sandbox.http.request import Request
from sandbox.net.log_context import on_behalf_of
from sandbox.policy.clients import client_of
from sandbox.policy.queries import refuse_parameters
from sandbox.protocols.http1.forwarding import source_of
from sandbox.protocols.http1.framing import NONE
from sandbox.protocols.http1.grammar import REMEMBERED, Malformed, memorable, read_section, split_list
from sandbox.protocols.http1.headers import TrustedProxies, field_lines, forwarding_context, request_lines
from sandbox.protocols.http1.rewriting import Rewriter
from sandbox.settings import Settings

_NO_STORE = ((b"cache-control", b"no-store"),)
_HEAD = b"%b %b HTTP/1.1\r\n%bX-Request-Id: %b\r\n\r\n"
NOT_FOUND = error_reply(404, "NOT_FOUND", "There is nothing here")


@attrs.frozen(kw_only=True)
class GatewayOptions:
    """Options of the reverse proxy.

    :ivar trusted: the proxies whose forwarding fields are believed.
    :ivar health_timeout: seconds until a health check is cancelled.
    :ivar health_keep: seconds for which the result of a health check is cached.
    :ivar continue_timeout: see :class:`sandbox.gateway.upstream.relay.Relay`.
    """

    trusted: TrustedProxies = attrs.field(factory=TrustedProxies)
    health_timeout: float = 5.0
    health_keep: float = 1.0
    continue_timeout: float = 1.0

    @classmethod
    def of(cls, settings: Settings) -> GatewayOptions:
        """The options in the daemon's settings."""
        return cls(
            trusted=TrustedProxies(settings.trusted_proxies),
            health_timeout=settings.preview_health_timeout,
            continue_timeout=settings.preview_continue_timeout,
        )


class PreviewResource(ReverseProxyResource):
    """Forwards every request below one path: ``<mount><session id>/<the application's own path>``.

    Of the base class, which has one fixed host and buffers whole bodies by HTTP/1.0, only the place in the resource
    tree is used. This class streams instead. It is a leaf that works on the target's raw bytes, so that no path segment
    is decoded or normalised.

    :param mount: with its slashes, such as ``b"/previews/"``.
    :param resolver: see :class:`sandbox.gateway.interfaces.Resolver`; the next two too.
    :param authorize: access control.
    :param upgrades: serves WebSockets; without it, requests for them are answered with 501.
    :param hosts: probes which Host applications with ``host: auto`` accept; without it, they get the public one.
    :param path_form: whether requests below this mount are forwarded (health checks always are served). Without it,
        only callers of :meth:`carry` forward requests.
    :param public_health: whether the daemon answers ``GET <mount><session id>/health`` (contract section 7).
    """

    isLeaf = True

    def __init__(
        self,
        reactor: IReactorTime,
        mount: bytes,
        resolver: Resolver,
        pool: Pool,
        *,
        authorize: Authorize,
        upgrades: Upgrades | None = None,
        hosts: HostProbe | None = None,
        path_form: bool = True,
        public_health: bool = True,
        options: GatewayOptions | None = None,
    ) -> None:
        super().__init__("", 0, mount, reactor)  # type: ignore[no-untyped-call]
        self._clock = reactor
        self._resolver = resolver
        self._pool = pool
        self._authorize = authorize
        self._upgrades = upgrades
        self._hosts = hosts
        self._path_form = path_form
        self._public_health = public_health
        self._options = options or GatewayOptions()
        self._probes = Probes(pool, reactor, self._options.health_timeout, self._options.health_keep)
        # Requests with the same field section differ in the path only, so the fields made of it are cached.
        self._remember_way = lru_cache(REMEMBERED)(self._way)
        # The session's prefix, its id, and the rest: empty, or beginning with a slash or a question mark.
        self._route = re.compile(b"(" + re.escape(mount) + rb"([A-Za-z0-9_-]{1,64}))((?:[/?].*)?)")

    def render(self, request: Request) -> int:
        """Forward a request, or respond to it."""
        route = self._route.fullmatch(request.uri)
        if route is None:
            respond(request, NOT_FOUND)
            return NOT_DONE_YET
        prefix, session_id, rest = route.groups()
        if self._public_health and rest.partition(b"?")[0] == b"/health" and request.method == b"GET":
            self.check_health(request, session_id.decode("ascii"))
        elif not self._path_form:
            respond(request, NOT_FOUND)
        elif not rest.startswith(b"/"):
            # A 308 preserves method and body, so it suits every method.
            request.respond(Reply(308, None, ((b"location", prefix + b"/" + rest),)))
        else:
            self.carry(request, session_id.decode("ascii"), prefix)
        return NOT_DONE_YET

    def carry(self, request: Request, session_id: str, prefix: bytes, port: int | None = None) -> None:
        """Forward a request to a session's preview.

        :param prefix: the target's prefix before the application's own path; ``b""`` on the preview's own host.
        :param port: the port in the name of such a host; any other than the registered one is refused.
        """
        request.session_id = session_id
        try:
            verdict = self._authorize(request, session_id, prefix)
            # Not isinstance of Deferred: that is an abstract class, whose negative check takes a microsecond.
            if isinstance(verdict, (Admitted, Reply)):
                self._admit(request, prefix, port, verdict)
            else:
                self._wait(request, verdict, lambda found: self._admit(request, prefix, port, found))
        except Exception:
            respond_error(request, Failure())

    def _admit(self, request: Request, prefix: bytes, port: int | None, verdict: AccessDecision) -> None:
        if isinstance(verdict, Reply):
            respond(request, verdict) if verdict.status >= 400 else request.respond(verdict)
            return
        self._resolve(request, prefix, port, verdict, False)

    def _resolve(self, request: Request, prefix: bytes, port: int | None, passage: Admitted, asked: bool) -> None:
        found = self._resolver.resolve(request.session_id)
        if isinstance(found, Destination):
            self._forward(request, prefix, port, passage, asked, found)
        else:
            self._wait(request, found, lambda found: self._forward(request, prefix, port, passage, asked, found))

    def _wait(self, request: Request, waiting: Deferred[Any], then: Callable[[Any], None]) -> None:
        """Call ``then`` with the result; respond to errors. Client disconnected: cancel ``waiting``."""
        request.on_disconnect = lambda _: waiting.cancel()

        def proceed(result: Any) -> None:
            request.on_disconnect = None
            if not request.gone:
                then(result)

        def refuse(failure: Failure) -> None:
            if not request.gone:
                respond_error(request, failure)

        waiting.addCallback(proceed).addErrback(refuse)

    def _forward(  # noqa: PLR0917 - results of the previous steps
        self,
        request: Request,
        prefix: bytes,
        port: int | None,
        passage: Admitted,
        asked: bool,
        destination: Destination,
    ) -> None:
        """:param asked: whether a probe for the Host has been awaited already."""
        _check_port(destination.preview, port)
        upgrade = b"websocket" if wants_websocket(request) else None
        local, verdict = destination.preview.host is HostMode.LOCAL, None
        if destination.preview.host is HostMode.AUTO and self._hosts is not None:
            verdict = destination.verdicts.path if prefix else destination.verdicts.host
            if verdict.due and not asked:
                waiting = self._hosts.ask(request.session_id, destination, by_path=bool(prefix))
                if waiting is not None:
                    # The destination may have changed meanwhile: resolve it again.
                    self._wait(request, waiting, lambda _: self._resolve(request, prefix, port, passage, True))
                    return
            local = verdict.found is HostMode.LOCAL
            if upgrade is not None and not local:
                local = request.uri.partition(b"?")[0] in verdict.local_sockets
        section, target, told, answered, authorization = passage
        remembered = self._remember_way if memorable(section) else self._way
        lines, rewriter = remembered(
            section, request.peer, request.secure, prefix, destination, local, upgrade, request.minor
        )
        if told:
            lines += field_lines(told)
        head = _HEAD % (request.method, rewriter.target(target or request.uri), lines, request.id)
        client = client_of(request.section, request.peer, self._options.trusted)
        upstream_request = UpstreamRequest(
            request.session_id, destination.target, rewriter, head, answered, authorization, client, verdict
        )
        if upgrade is not None:
            self._upgrade(request, upstream_request)
        else:
            Relay(request, upstream_request, self._pool, self._clock, self._options.continue_timeout).start()

    def _way(  # noqa: PLR0917 - the cache is twice as slow with keywords
        self,
        section: bytes,
        peer: str | None,
        secure: bool,
        prefix: bytes,
        destination: Destination,
        local: bool,
        upgrade: bytes | None,
        minor: int,
    ) -> tuple[bytes, Rewriter]:
        """The field lines for the application, and the rewriter of addresses in its response."""
        target = destination.target
        fields, known = read_section(section)
        way = forwarding_context(
            source=source_of(section, peer, self._options.trusted.trusts(peer), secure),
            prefix=prefix,
            stripped=destination.preview.strip_prefix,
            local=local,
            address=target.address,
            port=target.port,
        )
        return request_lines(fields, known, way, upgrade, minor), way.rewriter

    def _upgrade(self, request: Request, upstream_request: UpstreamRequest) -> None:
        if self._upgrades is None:
            respond(request, error_reply(501, "UPGRADE_NOT_SUPPORTED", "WebSockets are not served here"))
            return
        try:
            request.expect_upgrade()
        except Malformed as error:
            request.respond(error_reply(error.status, error.code, error.reason))
            return
        self._upgrades(request, upstream_request)

    def check_health(self, request: Request, session_id: str, port: int | None = None) -> None:
        """Respond with the health of a session's application (contract section 7).

        :param port: see :meth:`carry`.
        """

        request.session_id = session_id

        async def check() -> Reply:
            refuse_parameters(request.uri)
            found = self._resolver.resolve(session_id)
            at = found if isinstance(found, Destination) else await found
            _check_port(at.preview, port)
            status = await self._probes.check(session_id, at.target)
            if status == REFUSED:
                # The next listener on the port may be another application.
                at.verdicts.forget()
            payload = {"sessionId": session_id, "port": at.preview.port}
            if isinstance(status, int):
                return Reply(200, {"healthy": True, **payload, "statusCode": status}, _NO_STORE)
            return Reply(200, {"healthy": False, **payload, "error": status}, _NO_STORE)

        with on_behalf_of(request.id, session_id):
            checking = Deferred.fromCoroutine(check())
        self._wait(request, checking, request.respond)


def _check_port(preview: Preview, port: int | None) -> None:
    if port is not None and port != preview.port:
        raise PreviewNotRegistered(preview.session_id, port)


def wants_websocket(request: Request) -> bool:
    """Whether a request offers an upgrade to WebSocket. Other upgrades are ignored, as RFC 9110 section 7.8 allows."""
    known = request.known
    return (
        b"upgrade" in known
        and request.minor == 1
        and request.framing.coding is NONE
        and b"websocket" in split_list(known[b"upgrade"])
        and b"upgrade" in split_list(known.get(b"connection", b""))
    )
