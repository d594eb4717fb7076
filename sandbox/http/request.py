"""Requests as resources see them: the parts of ``twisted.web``'s interface that Klein needs, created lazily."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import chain
from time import monotonic
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.internet.interfaces import IAddress, IProtocol
from twisted.python.failure import Failure
from twisted.web.http import parse_qs
from twisted.web.http_headers import Headers
from twisted.web.server import Request as TwistedRequest

from sandbox.domain.principals import Principal
from sandbox.http.bodies import BodySink
from sandbox.http.interfaces import Channel
from sandbox.http.replies import CONTRACT, Reply
from sandbox.http.responses import CLIENT_LEFT, JSON, reply_bytes, reply_head
from sandbox.http.streaming import BodyWriter, Pieces, close_pieces, take_beginning
from sandbox.protocols.http1.framing import NONE, Framing, chunk, last_chunk
from sandbox.protocols.http1.grammar import RequestHead
from sandbox.protocols.http1.headers import REQUEST_ID


class Request(TwistedRequest):
    """A request on a :class:`sandbox.http.connection.Connection`.

    Does not call the constructor of its base class, which creates two ``Headers`` and looks up two addresses: the
    gateway needs none of them. They are created on first use.

    :ivar section: the bytes of the fields, as in :class:`sandbox.protocols.http1.grammar.RequestHead`.
    :ivar headers: the fields in their order and case.
    :ivar known: the fields that the server interprets, by lower-case name.
    :ivar framing: how the body is delimited.
    :ivar minor: 0 or 1, of HTTP/1.x.
    :ivar id: its id in the log and in the response (:mod:`sandbox.http.identity`).
    :ivar begun: when its head was complete, on the clock of :func:`time.monotonic`.
    :ivar route: the part of the daemon that serves it, from a small fixed set of names.
    :ivar session_id: the session that it addresses, if known.
    :ivar principal: the authenticated principal, if authentication was required.
    :ivar errors: encodes its errors: an API's own encoder once the API is known.
    :ivar error: the code of the error response, if any.
    :ivar logged: whether it was written to the access log; set when it is over.
    :ivar cut: whether its connection was lost before the response was complete.
    :ivar on_disconnect: called with the reason when the connection is lost before the response is complete.
    :ivar on_over: called exactly once: when the response is complete, or the connection is lost or upgraded.
    """

    on_disconnect: Callable[[Failure], None] | None = None
    on_over: Callable[[], None] | None = None
    site: Any
    content: Any = None
    #: The resource of its route (:mod:`sandbox.http.routes`).
    resource: Any = None
    # Form bodies are not parsed: no resource reads forms, and multipart parsers add attack surface.
    _parsePOSTFormSubmission = False
    defaultContentType = None
    queued = False
    upgrading = False
    route = "other"
    session_id = ""
    principal: Principal | None = None
    errors = CONTRACT
    error = ""
    cut = False
    logged = True

    def __init__(self, channel: Channel, head: RequestHead, framing: Framing, request_id: bytes) -> None:
        self.channel: Any = channel
        self.site = channel.site
        self.method, self.uri, self.minor, self.section, self.headers, self.known = head
        self.framing = framing
        self.notifications = []
        self.begun = monotonic()
        self.id = request_id

    # Interface used by twisted.web and Klein.

    clientproto = property(lambda self: b"HTTP/1.1" if self.minor else b"HTTP/1.0")
    transport = property(lambda self: self.channel and self.channel.transport)

    @cached_property
    def requestHeaders(self) -> Headers:  # type: ignore[override]
        headers = Headers()
        for name, value in self.headers:
            headers.addRawHeader(name, value)
        return headers

    @cached_property
    def responseHeaders(self) -> Headers:  # type: ignore[override]
        return Headers()

    @cached_property
    def cookies(self) -> list[bytes]:  # type: ignore[override]
        return []

    @cached_property
    def received_cookies(self) -> dict[bytes, bytes]:  # type: ignore[override]
        lines = self.requestHeaders.getRawHeaders(b"cookie", [])
        pairs = (cookie.split(b"=", 1) for line in lines for cookie in line.split(b";") if b"=" in cookie)
        return {name.strip(): value for name, value in pairs}

    @cached_property
    def _adapterCache(self) -> dict[Any, Any]:  # type: ignore[override]
        return {}

    @cached_property
    def client(self) -> IAddress:
        return self.channel.getPeer()  # type: ignore[no-any-return]

    @cached_property
    def host(self) -> IAddress:
        return self.channel.getHost()  # type: ignore[no-any-return]

    @cached_property
    def path(self) -> bytes:  # type: ignore[override]
        return self.uri.partition(b"?")[0]

    @cached_property
    def args(self) -> dict[bytes, list[bytes]]:  # type: ignore[override]
        query = self.uri.partition(b"?")[2]
        return parse_qs(query, True) if query else {}

    @cached_property
    def prepath(self) -> list[bytes]:  # type: ignore[override]
        return []

    @cached_property
    def postpath(self) -> list[bytes]:  # type: ignore[override]
        return [unquote_to_bytes(segment) for segment in self.path[1:].split(b"/")]

    def process(self) -> None:
        """Find the resource and render it."""
        try:
            self.render(self.site.getResourceFor(self))  # type: ignore[no-untyped-call]
        except BaseException:
            self.processingFailed(Failure())

    def process_in_turn(self) -> None:
        """Process now or, once the turn's budget is spent, in the run queue: an API call costs several previews."""
        self.site.run_queue.soon(lambda: None if self.gone else self.process())

    def processingFailed(self, reason: Failure) -> Failure:
        """Respond to an unexpected error with the request's encoder, which logs it."""
        reply = self.errors.encode(reason)
        if self.finished or self._disconnected:
            return reason
        if self.startedWriting:
            self.abort()
        else:
            self.respond(reply)
        return reason

    def write(self, data: bytes) -> None:
        """Write a piece of the response; the head is sent together with the first."""
        if self.startedWriting or self.channel is None:
            super().write(data)  # type: ignore[no-untyped-call]
            return
        with self.channel.corked():
            super().write(data)  # type: ignore[no-untyped-call]

    def finish(self) -> None:
        """End the response."""
        if self.startedWriting or self.channel is None:
            super().finish()  # type: ignore[no-untyped-call]
            return
        with self.channel.corked():
            super().finish()  # type: ignore[no-untyped-call]

    def connectionLost(self, reason: Failure) -> None:
        """Called by the channel when the connection is lost."""
        self.cut = True
        if not self.startedWriting:
            self.code = CLIENT_LEFT
        self.site.log(self)
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        # The channel is gone from here on: callbacks see that no response is possible.
        on_disconnect, self.on_disconnect = self.on_disconnect, None
        if on_disconnect is not None:
            on_disconnect(reason)
        self._be_over()

    # Interface used by the gateway.

    @property
    def gone(self) -> bool:
        """Whether no response is possible any more: it is complete, or the client disconnected."""
        return self.channel is None

    @property
    def secure(self) -> bool:
        """Whether the client's connection is TLS."""
        return self.channel.secure  # type: ignore[no-any-return]

    @property
    def peer(self) -> str | None:
        """Address of the client; ``None`` on a UNIX socket."""
        return self.channel.peer  # type: ignore[no-any-return]

    def register_producer(self, producer: Any) -> None:
        """Pause ``producer`` while the client reads slower than :meth:`send` writes."""
        self.channel.registerProducer(producer, True)

    def unregister_producer(self) -> None:
        """The producer has finished."""
        self.channel.unregisterProducer()

    @property
    def expects_continue(self) -> bool:
        """Whether the client waits for a ``100 Continue`` before it sends the body (RFC 9110 section 10.1.1)."""
        return (
            self.minor == 1
            and b"expect" in self.known
            and self.known[b"expect"].lower() == b"100-continue"
            and self.framing.coding is not NONE
            and not self.channel.holding
        )

    def stream_body(self, sink: BodySink) -> None:
        """Attach the consumer of the body, which is not read from the connection until then.

        Bytes that have arrived are delivered before this returns; an absent body ends immediately.
        """
        self.channel.deliver_body(sink)

    def pause_body(self) -> None:
        """Back-pressure from a slow consumer: pause reading the body until :meth:`resume_body`."""
        self.channel.pause_body(True)

    def resume_body(self) -> None:
        """Resume reading the body."""
        self.channel.pause_body(False)

    @property
    def persistent(self) -> bool:
        """Whether the connection may outlive this request; final once the response's head is written."""
        return self.channel.persistent()  # type: ignore[no-any-return]

    def send(self, data: bytes) -> None:
        """Write raw response bytes, head or body, framed by the caller."""
        self.startedWriting = 1
        self.channel.write(data)

    def send_interim(self, head: bytes) -> None:
        """Write a complete 1xx response, except to an HTTP/1.0 client (RFC 9110 section 15.2)."""
        if self.minor and not self.startedWriting:
            self.channel.write(head)

    def complete(self) -> None:
        """The whole response was written by :meth:`send`."""
        self.finished = 1
        # Break the reference cycle with the relay, so that no garbage collection is needed.
        self.on_disconnect = None
        self.site.log(self)
        channel, self.channel = self.channel, None
        channel.requestDone(self)
        self._be_over()
        if self.notifications:
            self._notify_finished()

    def abort(self, reset: bool = False) -> None:
        """Abort the response so that no client takes it for complete.

        :param reset: reset the connection: otherwise a body delimited by its end would look complete.
        """
        if not self.finished and self.channel is not None:
            self.channel.abort_response(reset)

    def respond(self, reply: Reply, body: bytes | None = None, content_type: bytes = JSON) -> None:
        """Respond with a reply: in one write, or, when long, in pieces as the client reads.

        :param body: replaces the reply's JSON body.
        """
        pieces = reply.pieces() if body is None else iter([body])
        beginning, whole = take_beginning(pieces)
        if not whole and body is None:
            self.respond_piecewise(reply, chain([beginning], pieces), content_type)
            return
        self.code, self.error = reply.status, reply.error
        fields = [*reply.headers, (REQUEST_ID, self.id), *([(b"content-type", content_type)] if beginning else [])]
        head_only, close = self.method == b"HEAD", not self.persistent
        self.send(reply_bytes(reply.status, fields, beginning, head_only=head_only, close=close))
        self.complete()

    def respond_piecewise(self, reply: Reply, pieces: Pieces, content_type: bytes) -> None:
        """Respond with a reply whose body is produced while the client reads it, until the client disconnects.

        :param pieces: replaces the reply's JSON body; an async generator is closed in any case.
        """
        self.code, self.error = reply.status, reply.error
        # Before HTTP/1.1 the end of the connection delimits the body.
        close = not self.persistent or not self.minor
        fields = [*reply.headers, (REQUEST_ID, self.id), (b"content-type", content_type)]
        framing = b"transfer-encoding: chunked\r\n" if self.minor else b""
        self.send(reply_head(reply.status, fields, framing, close=close))
        if self.method == b"HEAD":
            close_pieces(pieces)
            self.complete()
            return

        def write(piece: bytes) -> None:
            self.send(chunk(piece) if self.minor else piece)

        def ended() -> None:
            self.channel.unregisterProducer()
            if self.minor:
                self.send(last_chunk([]))
            self.complete()

        writer = BodyWriter(pieces, write, ended=ended, failed=lambda: self.abort(reset=not self.minor))
        self.on_disconnect = lambda _: writer.stopProducing()
        writer.start(self.site.cooperator)
        self.channel.registerProducer(writer, True)

    def expect_upgrade(self) -> None:
        """Prepare for an upgrade: the client should not send anything until it has the response.

        Early frames are held and delivered to the new protocol. Other bytes are rejected with 400: by this method when
        they have arrived already, by :attr:`on_disconnect` and the channel when they arrive later.

        :raises Malformed: when other bytes have arrived already.
        """
        self.channel.expect_upgrade()
        self.upgrading = True

    def upgrade(self, protocol: IProtocol) -> None:
        """Hand the connection over to ``protocol`` after a 101 was sent, and connect it to the transport.

        Requires :meth:`expect_upgrade`; early frames are delivered before this returns.
        """
        self.finished = 1
        self.site.log(self)
        channel, self.channel = self.channel, None
        channel.upgrade(protocol)
        self._be_over()
        self._notify_finished()

    def _be_over(self) -> None:
        if self.on_over is not None:
            on_over, self.on_over = self.on_over, None
            on_over()

    def _notify_finished(self) -> None:
        notifications, self.notifications = self.notifications, []
        for notification in notifications:
            notification.callback(None)
