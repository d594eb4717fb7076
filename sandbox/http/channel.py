"""A client's connection: heads, one request at a time, and its end (RFC 9112)."""

from __future__ import annotations

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol, ISSLTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers
from zope.interface import implementer

from sandbox.http.admission import Buffer, Refuse
from sandbox.http.bodies import BufferedBody, Discard
from sandbox.http.receiving import BODY, CLOSING, HEAD, UPGRADED, WAIT, Receiver
from sandbox.http.replies import Reply, error_reply, reply_to
from sandbox.http.request import Request
from sandbox.http.responses import CONTINUE, JSON, bytes_after_upgrade, http_date, reply_bytes, too_large
from sandbox.net import write_coalescing
from sandbox.net.deadlines import NEVER
from sandbox.protocols.http1.framing import keeps_alive, request_framing
from sandbox.protocols.http1.grammar import (
    MAX_EMPTY_LINES,
    Malformed,
    check_partial_head,
    head_too_large,
    leading_empty_lines,
    parse_request_head,
    uri_too_long,
)
from sandbox.protocols.http1.headers import REQUEST_ID

#: Bytes that are held for whoever is not ready for them before reading stops. Some reading goes on meanwhile, as it is
#: the only way to see that the client left.
_HELD = 64 * 1024
# Requests of one connection that are begun in one turn of the reactor, and seconds after which no other is.
_REQUESTS = 8
_SLICE = 0.001


def may_be_frames(data: bytes) -> bool:
    """Whether bytes behind a WebSocket handshake can be what a client may send there, and not another request.

    A client's frame has the mask bit (RFC 6455 section 5.1), which no byte of a request's line has.
    """
    return data[0] & 0x70 == 0 and (len(data) == 1 or data[1] >= 0x80)


@implementer(IHalfCloseableProtocol)
class Channel(Receiver):
    """The server's side of a connection. One request is under way at a time; later ones wait unread.

    :ivar deadline: see :class:`sandbox.net.deadlines.Deadlines`.
    :ivar secure: whether the connection is TLS.
    """

    secure = False
    _request: Request | None = None
    _linger_until = NEVER
    _searched = 0
    _empty_lines = 0
    _keep_alive = True
    _parsing = False

    @property
    def busy(self) -> bool:
        """Whether a request is under way."""
        return self._request is not None

    @property
    def idle_since(self) -> float | None:
        """The clock's time since when it waits for a request, or for the rest of its head; ``None`` else."""
        if self._state is not HEAD or self._paused or write_coalescing.unsent(self.transport):
            return None
        return self.deadline - (self._limits.head_timeout if self._buffer else self._limits.idle_timeout)

    def close_idle(self) -> None:
        """Close it, for others have more need of it."""
        self._close()

    # From the transport.

    def connectionMade(self) -> None:
        self.site.channel_opened(self)
        if ISSLTransport.providedBy(self.transport):
            self.secure = True
        self.deadline = self._seconds() + self._limits.idle_timeout
        if isinstance(self.transport.getHost(), IPv4Address | IPv6Address):
            # Heads and bodies are written whole; waiting for an ACK (Nagle) would only delay them.
            self.transport.setTcpNoDelay(True)

    def dataReceived(self, data: bytes) -> None:
        state = self._state
        if state is HEAD:
            self._buffer = self._buffer + data if self._buffer else data
            if not self._paused:
                self._parse()
        elif state is BODY:
            if self._sink is None:
                self._hold(data)
            else:
                self._receive(data)
        elif state is WAIT:
            self._hold(data)
        elif state is CLOSING:
            self.deadline = min(self._linger_until, self._seconds() + self._limits.linger_pause)

    def readConnectionLost(self) -> None:
        """The client says no more: it has left. One that listens on must not take what it has got for all there is."""
        request = self._request
        if request is not None and request.startedWriting and not request.minor:
            # Before HTTP/1.1 the end of the connection is that of the body.
            self.transport.abortConnection()
        else:
            self.transport.connectionLost(connectionDone)

    def writeConnectionLost(self) -> None:
        """We say no more, see :meth:`_linger`."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.channel_closed(self)
        self._state = CLOSING
        self._sink = None
        self._buffer = b""
        if self._intake is not None:
            self._intake.close()
        request, self._request = self._request, None
        if request is not None:
            request.connectionLost(reason)

    def expired(self, now: float) -> None:
        """The deadline of whatever the connection is at has passed."""
        if self._paused and write_coalescing.left(self.transport):
            self.transport.abortConnection()
            return
        unsent = write_coalescing.unacknowledged(self.transport)
        if self._paused and not unsent:
            self.deadline = self._reading_deadline()
        elif unsent and unsent != self._unsent and now < self._linger_until:
            # Slow, but it reads what was sent.
            self._unsent = unsent
            self.deadline = now + self._limits.idle_timeout
        elif self._state is HEAD and self._buffer:
            self._refuse(error_reply(408, "REQUEST_TIMEOUT", "The request's head took too long"), self._buffer)
        elif self._state is HEAD and not unsent:
            self._close()
        elif self._state is BODY and self._sink is not None and not unsent:
            self._body_failed(Malformed("The request's body stalled", 408, "UPLOAD_TIMEOUT"))
        else:
            self.transport.abortConnection()

    # Heads.

    def _parse(self) -> None:
        """Begin the requests whose turn has come, as many as one turn of the reactor has room for."""
        if self._parsing:
            return
        self._parsing = True
        head = b""
        # Others that are behind come first: whoever joins them gets what a client without pipelining needs.
        left, end = 1 if len(self.site.run_queue) else _REQUESTS, NEVER
        try:
            while self._buffer and self._state is HEAD:
                if not left or (end is not NEVER and self._seconds() >= end):
                    self._fall_behind()
                    return
                head = self._buffer
                if head.startswith(b"\r\n"):
                    self._skip_empty_lines()
                    head = self._buffer
                found = head.find(b"\r\n\r\n", max(0, self._searched - 3))
                if found < 0:
                    self._await_head()
                    return
                self._searched = self._empty_lines = 0
                head, self._buffer = head[: found + 4], head[found + 4 :]
                self._begin(head)
                left -= 1
                if end is NEVER and self._buffer:
                    end = self._seconds() + _SLICE
        except Malformed as error:
            self._refuse(error_reply(error.status, error.code, error.reason), head)
        finally:
            self._parsing = False

    def _skip_empty_lines(self) -> None:
        size = leading_empty_lines(self._buffer)
        self._empty_lines += size // 2
        if self._empty_lines > MAX_EMPTY_LINES:
            raise Malformed("Too many empty lines before a request")
        self._buffer = self._buffer[size:]
        self._searched = 0

    def _await_head(self) -> None:
        """Check what is new of a head, and give the rest of it its time."""
        buffer = self._buffer
        if not buffer:
            return
        check_partial_head(buffer, self._limits.line, self._searched)
        if len(buffer) > self._limits.head:
            raise head_too_large()
        if not self._searched:
            self.deadline = self._seconds() + self._limits.head_timeout
        self._searched = len(buffer)

    def _catch_up(self) -> None:
        if self._state is HEAD:
            # In case that nothing but empty lines is left.
            self.deadline = self._seconds() + self._limits.idle_timeout
            self._parse()
        else:
            super()._catch_up()

    def _begin(self, data: bytes) -> None:
        limits = self._limits
        if len(data) > limits.line and data.find(b"\r\n") > limits.line:
            raise uri_too_long()
        if len(data) > limits.head:
            raise head_too_large()
        self.bytes_in, self.bytes_out = len(data), 0
        request_id, data = self.site.ids.take(self, data)
        head = parse_request_head(data, limits.fields)
        framing = request_framing(head)
        self.deadline = NEVER
        self._keep_alive = keeps_alive(head)
        self._unsent = 0
        self._expect_body(framing)
        request = self._request = self.site.requestFactory(self, head, framing, request_id)
        try:
            admission = self.site.admit(request)
        except Exception:
            admission = Refuse(reply_to(Failure()))
        if isinstance(admission, Refuse):
            request.respond(admission.reply)
        elif isinstance(admission, Buffer):
            if framing.length > admission.limit:
                request.respond(too_large(admission.limit))
                return
            if request.expects_continue and not self._buffer:
                self.write(CONTINUE)
            self.deliver_body(BufferedBody(request, admission.limit, admission.budget))
        else:
            request.process()

    def _hold(self, data: bytes) -> None:
        self._buffer += data
        request = self._request
        if request is not None and request.upgrading and not may_be_frames(self._buffer):
            self._request = None
            request.connectionLost(Failure(bytes_after_upgrade()))
            error = bytes_after_upgrade()
            self._refuse(error_reply(error.status, error.code, error.reason))
            return
        if len(self._buffer) > _HELD and not self._paused:
            self._read_no_more()

    # Responses.

    def writeHeaders(self, version: bytes, code: int | bytes, reason: bytes, headers: Headers) -> None:
        """Write a response head as ``twisted.web`` asks for it."""
        status = int(code)
        lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
        if not headers.hasHeader(b"date"):
            lines.append(b"date: %b\r\n" % http_date())
        lines += [b"%b: %b\r\n" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
        if self._request is not None:
            lines.append(b"%b: %b\r\n" % (REQUEST_ID, self._request.id))
        if not self.persistent():
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        self.writeSequence(lines)

    def persistent(self) -> bool:
        """Whether another request may follow.

        Not behind a body that nobody took and that has not come by now, nor behind an upgrade that was refused after
        the client went on as if it had been granted.
        """
        if self._state is BODY and self._sink is None:
            self.deliver_body(Discard())
        refused_upgrade = self._request is not None and self._request.upgrading and self._buffer
        if self._state is BODY or self.site.stopping or refused_upgrade:
            self._keep_alive = False
        return self._keep_alive

    def requestDone(self, request: Request) -> None:
        """The response is complete: go on with the next request, or end."""
        if request is not self._request:
            return
        self._request = None
        if self._cork is not None:
            self._uncork()
        if self._state is BODY:
            self._linger()
        elif not self._keep_alive:
            self._close()
        else:
            self._state = HEAD
            self.deadline = self._seconds() + self._limits.idle_timeout
            if self._buffer:
                self._read_on()
                self._parse()

    def expect_upgrade(self) -> None:
        """See :meth:`Request.expect_upgrade`."""
        if self._buffer and not may_be_frames(self._buffer):
            raise bytes_after_upgrade()

    def abort_response(self, reset: bool) -> None:
        """End the connection within a response.

        :param reset: not by closing but with a reset, which cannot be taken for the end of a body that ends with the
            connection; what was not sent yet is lost then.
        """
        self.transport.unregisterProducer()
        if reset:
            self._state = CLOSING
            self.transport.abortConnection()
        else:
            self._close()

    def _refuse(self, reply: Reply, head: bytes = b"") -> None:
        """Answer what is no request; one that begins as HEAD gets no content even so (RFC 9110 section 9.3.2)."""
        request_id = self.site.refused(self, reply)
        fields = [*reply.headers, (REQUEST_ID, request_id), (b"content-type", JSON)]
        head_only = head.startswith(b"HEAD ")
        self.write(reply_bytes(reply.status, fields, reply.body(), head_only=head_only, close=True))
        self._linger()

    def _close(self) -> None:
        """Close once everything has been sent."""
        self._state = CLOSING
        self._buffer = b""
        self.deadline = self._seconds() + self._limits.idle_timeout
        self.transport.loseConnection()

    def _linger(self) -> None:
        """Close, but first give the client time to read the answer: closing on unread bytes resets the connection.

        RFC 9112 section 9.6.
        """
        self._state = CLOSING
        self._buffer = b""
        self._sink = self._decoder = None
        self._read_on()
        now = self._seconds()
        self._linger_until = now + self._limits.linger
        self.deadline = now + self._limits.linger_pause
        self.transport.loseWriteConnection()

    def upgrade(self, protocol: IProtocol) -> None:
        """See :meth:`Request.upgrade`."""
        self._request = None
        self._state = UPGRADED
        self.deadline = NEVER
        lost = self.connectionLost

        def connection_lost(reason: Failure) -> None:
            lost(reason)
            protocol.connectionLost(reason)

        # The channel stays the transport's protocol, so that the site goes on to count the connection.
        self.dataReceived = protocol.dataReceived  # type: ignore[method-assign]
        self.connectionLost = connection_lost  # type: ignore[method-assign,assignment]
        protocol.makeConnection(self.transport)
        early, self._buffer = self._buffer, b""
        self._read_on()
        if early:
            self.dataReceived(early)

    def close_when_idle(self) -> None:
        """Close if no request is under way; one that is closes the connection itself, see :meth:`persistent`.

        A head that has begun is waited for. So is the first one of a new connection, for a moment: who connected just
        now is about to send it, and would be told nothing.
        """
        if self._state is not HEAD or self._request is not None or self._buffer:
            return
        if not self.bytes_in:
            self.deadline += self._limits.greeting - self._limits.idle_timeout
            if self.deadline > self._seconds():
                return
        self._close()

    def loseConnection(self) -> None:
        """Close once everything has been sent."""
        self._close()
