"""The gateway as a WebSocket endpoint: Autobahn validates both opening handshakes and encodes the gateway's own frames.

Autobahn's protocols run without a connection. They cannot own it: they would choose subprotocol, extensions and fields
for the browser themselves, where the application's response must be relayed unchanged, and they would have to
understand every extension whose frames they relay. See docs/architecture.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from autobahn.twisted.websocket import (
    WebSocketClientFactory,
    WebSocketClientProtocol,
    WebSocketServerFactory,
    WebSocketServerProtocol,
)
from autobahn.util import encode_truncate
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from sandbox.domain.errors import PreviewMisbehaved
from sandbox.http.replies import Reply, error_reply
from sandbox.http.request import Request
from sandbox.protocols.http1.grammar import Line, ResponseHead

_CLOSE, _PING = 8, 9
#: Bytes of a control frame's payload, less a close code (RFC 6455 section 5.5).
_MAX_REASON = 123
# The fields that Autobahn validates. Subprotocols, extensions and Origin are left to the application.
_REQUEST_FIELDS = frozenset({b"upgrade", b"connection", b"sec-websocket-version", b"sec-websocket-key"})
_ANSWER_FIELDS = frozenset({b"upgrade", b"connection", b"sec-websocket-accept"})
_UNNAMED = IPv4Address("TCP", "0.0.0.0", 0)  # noqa: S104 - a placeholder, not an address to listen on


class BadHandshake(Exception):
    """A client's opening handshake violates RFC 6455 section 4.2.1.

    :ivar reply: the refusal: 426 with the supported version for an unsupported one (section 4.4), else 400.
    """

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def check_request(request: Request) -> bytes:
    """Validate a client's opening handshake and return its key.

    :raises BadHandshake: when it is invalid, or of another version of the protocol.
    """
    judge: _ServerJudge = _SERVER.buildProtocol(None)
    judge.makeConnection(_Nowhere())  # type: ignore[no-untyped-call]
    line = b"%b / HTTP/1.%d" % (request.method, request.minor)
    judge.dataReceived(_head(line + b"\r\nHost: localhost", request.headers, _REQUEST_FIELDS))
    if judge.refusal is not None:
        raise BadHandshake(judge.refusal)
    return next(field[1] for field in request.headers if field.lower == b"sec-websocket-key")


def check_answer(head: ResponseHead, key: bytes) -> None:
    """Validate an application's 101 (RFC 6455 section 4.1, from "Once the client's opening handshake has been sent").

    :param key: the result of :func:`check_request`.
    :raises PreviewMisbehaved: when it does not complete the handshake.
    """
    judge: _ClientJudge = _CLIENT.buildProtocol(None)
    judge.websocket_key = key
    judge.makeConnection(_Nowhere())  # type: ignore[no-untyped-call]
    judge.dataReceived(_head(b"HTTP/1.%d %d" % (head.minor, head.status), head.fields, _ANSWER_FIELDS))
    if judge.state != WebSocketClientProtocol.STATE_OPEN:
        raise PreviewMisbehaved


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """A Close frame; a reason too long for a control frame is truncated between two characters.

    :param masked: whether to mask it, as every frame to an application must be (RFC 6455 section 5.3).
    """
    payload = code.to_bytes(2, "big") + encode_truncate(reason, _MAX_REASON)
    return _frame(_CLIENT if masked else _SERVER, _CLOSE, payload)


def ping_frame(payload: bytes) -> bytes:
    """A Ping frame to a browser.

    :param payload: at most 125 bytes.
    """
    return _frame(_SERVER, _PING, payload)


def _frame(factory: Any, opcode: int, payload: bytes) -> bytes:
    speaker = factory.buildProtocol(None)
    transport = _Nowhere()
    speaker.makeConnection(transport)
    speaker.sendFrame(opcode, payload)
    return transport.written


def _head(line: bytes, fields: Sequence[Line], shown: frozenset[bytes]) -> bytes:
    return b"".join([line, b"\r\n", *(field.data for field in fields if field.lower in shown), b"\r\n"])


class _ServerJudge(WebSocketServerProtocol):
    """Validates a handshake and stops before it would respond."""

    refusal: Reply | None = None

    def onConnect(self, request: Any) -> Any:
        return Deferred()  # Never fires: the application decides whether to accept.

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        message = f"The WebSocket handshake is refused: {reason[:200]}"
        if responseHeaders:
            version = ((b"sec-websocket-version", b"13"), (b"upgrade", b"websocket"), (b"connection", b"upgrade"))
            self.refusal = error_reply(426, "WEBSOCKET_VERSION", message, version)
        else:
            self.refusal = error_reply(400, "BAD_HANDSHAKE", message)


class _ClientJudge(WebSocketClientProtocol):
    """Validates a response without having sent a request."""

    def startHandshake(self) -> None:
        pass

    def failHandshake(self, reason: str) -> None:
        pass


class _Nowhere:
    """A transport without a connection that records what is written."""

    written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def getPeer(self) -> IPv4Address:
        return _UNNAMED

    def getHost(self) -> IPv4Address:
        return _UNNAMED


def _factory(kind: Any, protocol: type[WebSocketProtocol], **options: Any) -> Any:
    factory = kind(reactor=Clock())  # unused: without the handshake timeout there are no timers
    factory.protocol = protocol
    factory.setProtocolOptions(openHandshakeTimeout=0, **options)
    return factory


_SERVER = _factory(WebSocketServerFactory, _ServerJudge, versions=[13])
_CLIENT = _factory(WebSocketClientFactory, _ClientJudge)
