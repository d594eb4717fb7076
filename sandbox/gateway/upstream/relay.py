"""Streams one request to an application and its response back to the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from sandbox.domain.errors import PreviewUnreachable, SandboxError
from sandbox.domain.host_verdicts import HostVerdict
from sandbox.gateway.interfaces import UpstreamRequest
from sandbox.gateway.pages import respond_error
from sandbox.gateway.upstream.connection import Upstream
from sandbox.http.replies import error_reply
from sandbox.http.request import Request
from sandbox.http.responses import CONTINUE, http_date
from sandbox.net.fairness import charge_to
from sandbox.net.timers import Timer, timer
from sandbox.policy.host_rule import REFUSALS
from sandbox.protocols.http1.framing import CHUNKS, CLOSE, NO_BODY, NONE, Framing, chunk, last_chunk
from sandbox.protocols.http1.grammar import Fields, Malformed, ResponseHead
from sandbox.protocols.http1.headers import VIA, field_lines, relayed_trailers, response_lines

if TYPE_CHECKING:
    from sandbox.gateway.upstream.pool import Pool

# The end of a head, by the minor version of the application's own.
_END = [b"Via: %b\r\n\r\n" % via for via in VIA]
_CHUNKED_END = [b"Transfer-Encoding: chunked\r\n" + end for end in _END]
# RFC 9110 section 9.2.2: methods that may be retried when a reused connection closed before the response.
_IDEMPOTENT = frozenset({b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"})


@attrs.frozen
class Upload:
    """The producer of an upload: back-pressure from the application pauses the client."""

    request: Request

    def pauseProducing(self) -> None:
        self.request.pause_body()

    def resumeProducing(self) -> None:
        self.request.resume_body()

    def stopProducing(self) -> None:
        """The application's connection is lost; :meth:`Relay.broken` handles it."""


class Relay:
    """One exchange between a client and an application. It ends when both sides are done or one is lost.

    :param continue_timeout: seconds to wait for the application's ``100 Continue`` before the gateway sends its own,
        for applications that ignore Expect (RFC 9110 section 10.1.1; Go's ``ExpectContinueTimeout``).
    """

    # Defaults are class attributes: most exchanges leave most of them as they are.
    _chunked = False
    _known: Mapping[bytes, bytes] = {}
    _until_close = False
    _upstream: Upstream | None = None
    _connecting: Deferred[Upstream] | None = None
    _retried = False
    _downloading = False
    _uploading = False
    _continue_timer: Timer | None = None
    _over = False
    min_progress = 1
    upgrading = False
    sent_all = False

    def __init__(
        self,
        request: Request,
        upstream_request: UpstreamRequest,
        pool: Pool,
        clock: IReactorTime,
        continue_timeout: float,
    ) -> None:
        self._request = request
        self._outbound = upstream_request
        self._pool = pool
        self._clock = clock
        self._continue_timeout = continue_timeout
        self._pending: list[bytes] = []
        self.method = request.method

    def start(self) -> None:
        """Take or open a connection and send the request."""
        self._request.on_disconnect = self._client_lost
        if self._retried:
            self._connect()
            return
        replayable = self._replayable()
        upstream_request = self._outbound
        while (
            upstream := self._pool.take(upstream_request.session_id, upstream_request.target, upstream_request.client)
        ) is not None:
            # A request that must not be retried is sent only on a connection that the peer has not closed.
            if replayable or not upstream.stale():
                self._send(upstream)
                return
            upstream.abort()
        self._connect()

    def _connect(self) -> None:
        upstream_request = self._outbound
        self._connecting = self._pool.connect(
            upstream_request.session_id, upstream_request.target, upstream_request.client
        )
        self._connecting.addCallbacks(self._send, self._not_connected)

    def _not_connected(self, failure: Failure) -> None:
        if not self._over:
            self._refuse(failure)

    def _send(self, upstream: Upstream) -> None:
        self._connecting = None
        if self._over:
            upstream.abort()
            return
        request = self._request
        charge_to(request.transport, upstream.transport)
        self._upstream = upstream
        if request.framing.coding is NONE:
            self.sent_all = True
            upstream.begin(self, self._outbound.head)
            return
        upstream.begin(self, self._outbound.head)
        if request.expects_continue:
            self._continue_timer = timer(self._clock, self._continue_timeout, self._request.send_interim, CONTINUE)
        request.stream_body(self)
        if not (self.sent_all or self._over):
            self._uploading = True
            upstream.transport.registerProducer(Upload(request), True)

    def _replayable(self) -> bool:
        return self._request.framing.coding is NONE and self.method in _IDEMPOTENT

    # The request's body.

    def body_received(self, data: bytes) -> None:
        if self._upstream is not None:
            self._stop_waiting_to_continue()
            self._upstream.send(chunk(data) if self._request.framing.coding is CHUNKS else data)

    def body_ended(self, trailers: Fields) -> None:
        self.sent_all = True
        if self._upstream is None:
            return
        self._stop_uploading()
        if self._request.framing.coding is CHUNKS:
            self._upstream.send(last_chunk(relayed_trailers(trailers, self._request.known)))

    def body_failed(self, error: Malformed) -> None:
        self._drop_upstream()
        if self._request.startedWriting:
            self._abort()
        else:
            self._over = True
            self._request.respond(error_reply(error.status, error.code, error.reason))

    def _stop_waiting_to_continue(self) -> None:
        if self._continue_timer is not None:
            self._continue_timer.stop()

    def _stop_uploading(self) -> None:
        self._stop_waiting_to_continue()
        if self._uploading:
            self._uploading = False
            if self._upstream is not None:
                self._upstream.transport.unregisterProducer()

    # The response.

    def interim(self, head: ResponseHead) -> None:
        if head.status == 100:
            waiting = self._continue_timer is not None and self._continue_timer.active
            self._stop_waiting_to_continue()
            if not waiting:
                return  # The gateway sent its own, or the client did not expect one.
        lines = response_lines(head, NO_BODY, self._outbound.rewriter, chunked=False)
        self._request.send_interim(head.line + lines + b"\r\n")

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        raise AssertionError("no upgrade was offered")

    def responded(self, head: ResponseHead, framing: Framing) -> None:
        self._stop_waiting_to_continue()
        request = self._request
        request.code = head.status
        if self._outbound.verdict is not None and head.status in REFUSALS:
            self._outbound.verdict.doubt()
        if framing.coding is CHUNKS or framing.coding is CLOSE:
            self._chunked = request.minor == 1
            self._known = head.known
            self._until_close = not self._chunked
        lines = response_lines(head, framing, self._outbound.rewriter, chunked=self._chunked)
        if b"date" not in head.known:
            lines += b"Date: %b\r\n" % http_date()
        if self._outbound.response_fields:
            lines += field_lines(self._outbound.response_fields)
        end = (_CHUNKED_END if self._chunked else _END)[head.minor]
        if not request.persistent or self._until_close:
            end = b"Connection: close\r\n" + end
        self._pending = [head.line, lines, b"X-Request-Id: ", request.id, b"\r\n", end]

    def received(self, pieces: list[bytes], trailers: Fields | None) -> None:
        if trailers is not None:
            # The pool owns the connection again.
            self._stop_uploading()
            self._upstream = None
        written, self._pending = self._pending, []
        if self._chunked:
            if pieces:
                # The pieces of one read are sent as one chunk, so that tiny chunks are not relayed one by one.
                written += [b"%x\r\n" % sum(map(len, pieces)), *pieces, b"\r\n"]
            if trailers is not None:
                written.append(last_chunk(relayed_trailers(trailers, self._known)))
        else:
            written += pieces
        if written:
            self._request.send(written[0] if len(written) == 1 else b"".join(written))
        if trailers is not None:
            self._finish()
        elif not self._downloading and self._upstream is not None:
            self._downloading = True
            self._request.register_producer(self)

    def broken(self, error: SandboxError) -> None:
        self._stop_uploading()
        upstream, self._upstream = self._upstream, None
        if self._over or upstream is None:
            return
        # Retry only when the application closed a reused connection. After a timeout it may have taken the request, and
        # a connection that we close has lost its destination.
        stale = upstream.reused and upstream.untouched and not upstream.closing
        if stale and self._replayable() and not self._retried:
            self._retried = True
            self.start()
        elif self._request.startedWriting:
            self._abort()
        else:
            self._refuse(Failure(error))

    # Producer of the response, for the client's connection.

    def pauseProducing(self) -> None:
        """Back-pressure: the client reads too slowly."""
        if self._upstream is not None:
            self._upstream.pause()

    def resumeProducing(self) -> None:
        """The client reads again."""
        if self._upstream is not None:
            self._upstream.resume()

    def stopProducing(self) -> None:
        """The client disconnected; :meth:`_client_lost` handles it."""

    # Ends.

    def _finish(self) -> None:
        self._over = True
        if self._downloading:
            self._request.unregister_producer()
        self._request.complete()

    def _abort(self) -> None:
        """Abort the response. A body that is delimited by the connection's end needs a reset, or it looks complete."""
        self._over = True
        self._stop_waiting_to_continue()
        self._request.abort(reset=self._until_close)

    def _refuse(self, failure: Failure) -> None:
        self._over = True
        if self._outbound.verdict is not None:
            self._judge(self._outbound.verdict, failure)
        self._stop_waiting_to_continue()
        respond_error(self._request, failure)

    def _judge(self, verdict: HostVerdict, failure: Failure) -> None:
        """Update the verdict on the Host after a request without a response."""
        if failure.check(PreviewUnreachable):
            verdict.forget()

    def _client_lost(self, reason: Failure) -> None:
        self._over = True
        self._stop_waiting_to_continue()
        connecting, self._connecting = self._connecting, None
        if connecting is not None:
            connecting.cancel()
        self._drop_upstream()

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            if self._uploading:
                self._uploading = False
                upstream.transport.unregisterProducer()
            upstream.abandon()
