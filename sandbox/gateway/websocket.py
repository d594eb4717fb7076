"""WebSockets of previews: end-to-end opening handshake, and the set of open ones (docs/previews.md)."""

from __future__ import annotations

from collections import defaultdict
from functools import partial

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain.errors import PreviewMisbehaved, PreviewUnreachable
from sandbox.domain.host_verdicts import HostVerdict
from sandbox.gateway.bridge import GOING_AWAY, POLICY_VIOLATION, Bridge, Timing
from sandbox.gateway.interfaces import UpstreamRequest
from sandbox.gateway.upstream.connection import Upstream
from sandbox.gateway.upstream.pool import Pool
from sandbox.gateway.upstream.relay import Relay
from sandbox.gateway.websocket_handshake import BadHandshake, check_answer, check_request
from sandbox.http.request import Request
from sandbox.net.deadlines import Deadlines
from sandbox.policy.host_rule import REFUSALS
from sandbox.protocols.http1.framing import NO_BODY, Framing
from sandbox.protocols.http1.grammar import ResponseHead
from sandbox.protocols.http1.headers import VIA, field_lines, response_lines

_log = Logger()

SERVICE_RESTART = 1012  # IANA's registry of close codes


@attrs.define
class SocketCounters:
    """Counters of WebSockets, published as metrics.

    :ivar from_browsers: bytes received from browsers.
    :ivar from_applications: bytes received from applications.
    """

    opened: int = 0
    from_browsers: int = 0
    from_applications: int = 0


class WebSockets:
    """Serves every request that offers an upgrade to WebSocket; see :class:`sandbox.gateway.interfaces.Upgrades`.

    :param timing: see :class:`sandbox.gateway.bridge.Timing`.
    """

    def __init__(self, reactor: IReactorTime, pool: Pool, timing: Timing | None = None) -> None:
        self._reactor = reactor
        self._pool = pool
        self._timing = timing or Timing()
        self._deadlines = Deadlines(reactor)
        self._open: defaultdict[str, set[Bridge]] = defaultdict(set)
        self._drained: Deferred[None] | None = None
        self._closed = SocketCounters()

    @property
    def counters(self) -> SocketCounters:
        """Current counters, open WebSockets included."""
        counters = attrs.evolve(self._closed)
        for bridges in self._open.values():
            for bridge in bridges:
                counters.from_browsers += bridge.browser.received
                counters.from_applications += bridge.application.received
        return counters

    def __len__(self) -> int:
        """Number of open WebSockets."""
        return sum(map(len, self._open.values()))

    def __call__(self, request: Request, upstream_request: UpstreamRequest) -> None:
        """Check the client's handshake, then forward it to the application."""
        try:
            key = check_request(request)
        except BadHandshake as refused:
            request.respond(refused.reply)
            return
        Negotiation(request, upstream_request, self._pool, self._reactor, sockets=self, key=key).start()

    def open(
        self, request: Request, upstream_request: UpstreamRequest, upstream: Upstream, answer: bytes, rest: bytes
    ) -> None:
        """Start to relay a WebSocket.

        :param answer: the whole head of the 101 for the browser.
        :param rest: data that the application sent after its own 101.
        """
        session_id, authorization, request_id = upstream_request.session_id, upstream_request.authorization, request.id
        logged = True

        def ended(bridge: Bridge) -> None:
            if authorization is not None:
                authorization.detach(end)
            self._ended(session_id, request_id, bridge, logged)

        bridge = Bridge(self._deadlines, self._timing, ended)
        end = partial(bridge.close, POLICY_VIOLATION, "Access has ended")
        self._closed.opened += 1
        self._open[session_id].add(bridge)
        upstream.upgrade(bridge.application)
        request.send(answer)
        request.upgrade(bridge.browser)
        # Log the end of exactly those WebSockets whose beginning the rate-limited access log has.
        logged = request.logged
        bridge.open()
        if authorization is not None:
            authorization.attach(end)
        if rest:
            bridge.application.dataReceived(rest)
        if self._drained is not None:
            bridge.close(SERVICE_RESTART, "Service restart")

    def drop_session(self, session_id: str, code: int = GOING_AWAY, reason: str = "The preview has ended") -> None:
        """Close a session's WebSockets: the session was stopped, or its container ended."""
        for bridge in list(self._open.get(session_id, ())):
            bridge.close(code, reason)

    def drain(self) -> Deferred[None]:
        """Close every WebSocket before shutdown, and each that opens from now on. Fires when none is left.

        This takes at most :attr:`sandbox.gateway.bridge.Timing.close` for the closing handshake, and twice that for
        peers that do not read.
        """
        if self._drained is None:
            self._drained = Deferred()
            for session_id in list(self._open):
                self.drop_session(session_id, SERVICE_RESTART, "Service restart")
            self._check_drained()
        return self._drained

    def _ended(self, session_id: str, request_id: bytes, bridge: Bridge, logged: bool) -> None:
        received, answered = bridge.browser.received, bridge.application.received
        self._closed.from_browsers += received
        self._closed.from_applications += answered
        if logged:
            _log.info(
                "WebSocket closed after {seconds} s session={session}",
                seconds=round(self._deadlines.seconds() - bridge.opened, 3),
                session=session_id,
                request_id=request_id.decode("ascii"),
                bytes_in=received,
                bytes_out=answered,
            )
        bridges = self._open[session_id]
        bridges.discard(bridge)
        if not bridges:
            del self._open[session_id]
        self._check_drained()

    def _check_drained(self) -> None:
        if self._drained is not None and not self._open and not self._drained.called:
            self._drained.callback(None)


class Negotiation(Relay):
    """The opening handshake between browser and application. Any response but a 101 is relayed as plain HTTP."""

    upgrading = True

    def __init__(
        self,
        request: Request,
        upstream_request: UpstreamRequest,
        pool: Pool,
        clock: IReactorTime,
        *,
        sockets: WebSockets,
        key: bytes,
    ) -> None:
        super().__init__(request, upstream_request, pool, clock, 0.0)
        self._sockets = sockets
        self._key = key

    def start(self) -> None:
        """Send the handshake over a new connection: an upgraded one never returns to the pool."""
        self._request.on_disconnect = self._client_lost
        self._connect()

    def responded(self, head: ResponseHead, framing: Framing) -> None:
        """A response other than 101."""
        if self._outbound.verdict is not None and head.status in REFUSALS:
            self._refused_for(self._outbound.verdict)
        super().responded(head, framing)

    def _judge(self, verdict: HostVerdict, failure: Failure) -> None:
        """Some applications refuse by closing the connection, or by a response that is not HTTP."""
        error = failure.value
        if isinstance(error, PreviewMisbehaved | PreviewUnreachable) and error.__cause__ is None:
            self._refused_for(verdict)
        else:
            super()._judge(verdict, failure)

    def _refused_for(self, verdict: HostVerdict) -> None:
        verdict.refuse_socket(self._request.uri.partition(b"?")[0], self._outbound.rewriter.local)

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        """The application sent a 101: relay it to the browser with every end-to-end field."""
        try:
            check_answer(head, self._key)
        except PreviewMisbehaved:
            self._drop_upstream()
            self._refuse(Failure())
            return
        request, upstream_request = self._request, self._outbound
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        self._over = True
        request.on_disconnect = None
        request.code = head.status
        lines = response_lines(head, NO_BODY, upstream_request.rewriter, chunked=False)
        ours = [(b"Upgrade", b"websocket"), (b"Connection", b"Upgrade"), (b"Via", VIA[head.minor])]
        ours += [*upstream_request.response_fields, (b"X-Request-Id", request.id)]
        answer = head.line + lines + field_lines(ours) + b"\r\n"
        self._sockets.open(request, upstream_request, upstream, answer, rest)
