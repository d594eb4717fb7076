"""A client's connection: one request at a time, from its head to the end of its response (RFC 9112).

Only this class changes the state, by the table in :mod:`sandbox.http.states`. The readers of heads and bodies
(:mod:`sandbox.protocols.http1.heads`, :mod:`sandbox.http.body_reader`) and the writer know neither state nor time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IHalfCloseableProtocol, IProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from sandbox.http.admission import start
from sandbox.http.bodies import BodySink, Discard
from sandbox.http.body_reader import BodyReader
from sandbox.http.interfaces import ConnectionSite
from sandbox.http.responses import bytes_after_upgrade
from sandbox.http.states import BODY, CLOSING, HEAD, TRANSITIONS, UPGRADED, WAIT, State, TimeUp
from sandbox.http.timer import Timer
from sandbox.http.upgrades import hand_over
from sandbox.http.writer import Writer
from sandbox.net.deadlines import NEVER
from sandbox.net.fairness import Intake
from sandbox.protocols.http1.framing import NONE, keeps_alive, request_framing
from sandbox.protocols.http1.grammar import Malformed, parse_request_head
from sandbox.protocols.http1.heads import HeadReader
from sandbox.protocols.websocket import may_be_frames

if TYPE_CHECKING:
    from sandbox.http.request import Request

# Bytes that are buffered for a request in progress before reading stops: only reading shows that the client left.
_HELD = 64 * 1024
# Pieces of a head after which its client is read at a limited rate.
_PIECES = 8
# Requests that begin in one turn of the reactor, and seconds after which no other does.
_REQUESTS = 8
_SLICE = 0.001


@implementer(IHalfCloseableProtocol)
class Connection(Writer):
    """Server side of a connection. One request is in progress at a time; later ones wait unread.

    :ivar bytes_in: bytes received of the current request.
    """

    bytes_in = 0
    state = HEAD
    _request: Request | None = None
    _body: BodyReader | None = None
    _buffer: bytes | bytearray = b""
    _intake: Intake
    _keep_alive = True
    _parsing = False

    def __init__(self, site: ConnectionSite) -> None:
        self.site = self.factory = site
        self._seconds = site.deadlines.seconds
        self.timer = Timer(self, site.limits, site.deadlines)
        self._heads = HeadReader(site.limits.line, site.limits.head)

    @property
    def busy(self) -> bool:
        """Whether a request is in progress."""
        return self._request is not None

    @property
    def holding(self) -> bool:
        """Whether received bytes are buffered for later."""
        return bool(self._buffer)

    @property
    def head_begun(self) -> bool:
        """Whether part of a head was received."""
        return self._heads.searched > 0

    @property
    def body_taken(self) -> bool:
        """Whether there is a body with a consumer."""
        return self._body is not None and self._body.sink is not None

    @property
    def paused(self) -> bool:
        """Whether reading from the client is paused."""
        return not self._intake.reading

    def _enter(self, state: State) -> None:
        assert state in TRANSITIONS[self.state], f"{self.state.name} does not become {state.name}"
        self.state = state
        if state is WAIT:
            self.timer.deadline = NEVER
        elif state is HEAD:
            self.timer.await_request()
        else:
            self.timer.renew()

    def time_is_up(self, what: TimeUp) -> None:
        """The deadline of the current state has passed."""
        if what is TimeUp.REFUSE_HEAD:
            self.refuse(Malformed("The request's head took too long", 408, "REQUEST_TIMEOUT"), self._buffer)
        elif what is TimeUp.FAIL_BODY and self._body is not None:
            self._body.fail(Malformed("The request's body stalled", 408, "UPLOAD_TIMEOUT"))
        elif what is TimeUp.CLOSE:
            self.loseConnection()
        else:
            self.transport.abortConnection()

    def connectionMade(self) -> None:
        self._intake = Intake(self.site.run_queue, self.transport, self._catch_up)
        self.site.connection_opened(self)
        self.timer.renew()
        super().connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if self.state is HEAD:
            self._keep(data)
            if self._intake.reading:
                self._begin_requests()
                if self._heads.pieces > _PIECES:
                    self._intake.rest()
        elif self.body_taken:
            self._receive(data)
        elif self.state is CLOSING:
            self.timer.renew()
            self._intake.rest()
        else:
            self._hold(data)

    def readConnectionLost(self) -> None:
        """The client shut its sending side, which counts as a disconnect: a partial response must not look complete."""
        request = self._request
        if request is not None and request.startedWriting and not request.minor:
            # Before HTTP/1.1 the end of the connection delimits the body.
            self.transport.abortConnection()
        else:
            self.transport.connectionLost(connectionDone)

    def writeConnectionLost(self) -> None:
        """Our sending side is shut, see :meth:`_linger`."""

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.site.connection_lost(self)
        self._stop()
        self._intake.close()
        request, self._request = self._request, None
        if request is not None:
            request.connectionLost(reason)

    def _catch_up(self) -> None:
        """Process input that was deferred to a later turn."""
        self.timer.renew()
        if self.state is HEAD:
            self._begin_requests()
        elif self.body_taken:
            self._receive(b"")

    def _keep(self, data: bytes) -> None:
        """Append without copying each time."""
        if not self._buffer:
            self._buffer = data
            return
        if not isinstance(self._buffer, bytearray):
            self._buffer = bytearray(self._buffer)
        self._buffer += data

    def _hold(self, data: bytes) -> None:
        self._keep(data)
        request = self._request
        if request is not None and request.upgrading and not may_be_frames(self._buffer):
            self._request = None
            error = bytes_after_upgrade()
            request.connectionLost(Failure(error))
            self.refuse(error)
        elif len(self._buffer) > _HELD and not self.paused:
            self._intake.pause()
            self.timer.renew()

    def _begin_requests(self) -> None:
        """Begin buffered requests, up to the limit per turn of the reactor."""
        if self._parsing:
            return
        self._parsing = True
        begun, end = 0, NEVER
        taken: bytes | bytearray = b""
        try:
            while self._buffer and self.state is HEAD:
                # While other connections wait, a pipelining client gets no more than one without pipelining.
                if begun and (begun >= _REQUESTS or len(self.site.run_queue) or self._seconds() >= end):
                    self._intake.fall_behind()
                    self.timer.renew()
                    return
                taken, searched = self._buffer, self._heads.searched
                head, self._buffer = self._heads.take(taken)
                if not head:
                    if self._buffer and not searched:
                        self.timer.renew()
                    return
                self._begin(head)
                begun += 1
                if begun == 1 and self._buffer:
                    end = self._seconds() + _SLICE
        except Malformed as error:
            self.site.refusals.refuse(self, error, taken)
        finally:
            self._parsing = False

    def _begin(self, data: bytes) -> None:
        self.bytes_in, self.bytes_out = len(data), 0
        self.request_id, data = self.site.ids.take(self, data)
        head = parse_request_head(data, self.site.limits.fields)
        framing = request_framing(head)
        self._keep_alive = keeps_alive(head)
        self._body = None if framing.coding is NONE else BodyReader(framing)
        self._enter(WAIT if self._body is None else BODY)
        request = self._request = self.site.requestFactory(self, head, framing, self.request_id)
        start(request, self.site.admit)

    def await_refusal(self) -> None:
        """See :class:`sandbox.http.refusals.Refusing`."""
        self._buffer = b""
        self._intake.pause()
        self.timer.renew()

    def refuse(self, error: Malformed, head: bytes | bytearray = b"") -> None:
        """Answer a malformed request and close."""
        self.write(self.site.refusals.response(self, error, bytes(head)))
        self._linger()

    def deliver_body(self, sink: BodySink) -> None:
        """See :meth:`Request.stream_body`."""
        if self._body is None:
            sink.body_ended([])
            return
        self._body.sink = sink
        data, self._buffer = bytes(self._buffer), b""
        self._intake.resume()
        self.timer.renew()
        if data:
            self._receive(data)

    def pause_body(self, paused: bool) -> None:
        """See :meth:`Request.pause_body` and :meth:`Request.resume_body`."""
        if self.state is BODY:
            (self._intake.pause if paused else self._intake.resume)()
            self.timer.renew()

    def _receive(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        self.bytes_in += len(data)
        if body.progresses(len(data)):
            self.timer.renew()
        body.feed(data)
        if self._body is not body:
            return  # The consumer stopped and has responded.
        if body.behind:
            self._intake.fall_behind()
            self.timer.renew()
        elif body.done:
            self._body, self._buffer = None, body.rest
            self.bytes_in -= len(body.rest)
            self._enter(WAIT)
            self._intake.resume()
            body.end()

    def persistent(self) -> bool:
        """Whether another request may follow.

        Not behind an incomplete body without a consumer, nor behind a refused upgrade with early data.
        """
        if self._body is not None and not self.body_taken:
            self.deliver_body(Discard())
        request = self._request
        if self.state is BODY or self.site.stopping or (self._buffer and request is not None and request.upgrading):
            self._keep_alive = False
        return self._keep_alive

    def requestDone(self, request: Request) -> None:
        """The response is complete: continue with the next request, or close."""
        if request is not self._request:
            return
        self._request = None
        self.uncork()
        if self.state is BODY:
            self._linger()
        elif self.state is WAIT and self._keep_alive:
            self._enter(HEAD)
            if self._buffer:
                self._intake.resume()
                if not self._parsing:
                    # The current event may be the application's: do not charge the next request to its turn.
                    self._intake.fall_behind()
        else:
            self.loseConnection()

    def abort_response(self, reset: bool) -> None:
        """See :meth:`Request.abort`. A reset discards unsent bytes."""
        self.transport.unregisterProducer()
        if reset:
            self._stop()
            self.transport.abortConnection()
        else:
            self.loseConnection()

    def _stop(self) -> None:
        self._enter(CLOSING)
        self.site.refusals.discard(self)
        self._body = None
        self._buffer = b""

    def loseConnection(self) -> None:
        """Close once everything has been sent."""
        self._stop()
        self.timer.await_reading()
        self.transport.loseConnection()

    def _linger(self) -> None:
        """Close after the client had time to read: closing on unread bytes resets (RFC 9112 section 9.6)."""
        self.timer.linger()
        self._intake.resume()
        self._stop()
        self._intake.rest()
        self.transport.loseWriteConnection()

    def close_when_idle(self) -> None:
        """Close if no request is in progress; otherwise its end closes the connection, see :meth:`persistent`.

        The connection waits for the rest of a head and, briefly, for the first head after connecting.
        """
        if self.state is HEAD and not self._buffer and (self.bytes_in or self.timer.hurry()):
            self.loseConnection()

    def expect_upgrade(self) -> None:
        """See :meth:`Request.expect_upgrade`."""
        if self._buffer and not may_be_frames(self._buffer):
            raise bytes_after_upgrade()

    def upgrade(self, protocol: IProtocol) -> None:
        """See :meth:`Request.upgrade`."""
        self._request = None
        self._enter(UPGRADED)
        hand_over(self, protocol)
        early, self._buffer = bytes(self._buffer), b""
        self._intake.resume()
        if early:
            self.dataReceived(early)
