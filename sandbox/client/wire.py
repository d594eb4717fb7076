"""Blocking transport: one HTTP exchange with the standard library, limited in bytes and time."""

from __future__ import annotations

import http.client
import io
import socket
import ssl
import time
from contextlib import ExitStack, closing, suppress
from typing import Any

from sandbox.client.errors import AnswerTimeout, AnswerTooLarge, BadAnswer, ConnectionLost, Unreachable
from sandbox.client.origin import Origin
from sandbox.client.protocol import Answer, Call, Headers

_PIECE = 64 * 1024


class _Reader(io.RawIOBase):
    def __init__(self, timed: _Timed) -> None:
        self._timed = timed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._timed.armed().recv_into(buffer)


class _Timed:
    """A socket whose operations share one deadline; a socket's own timeout would restart with every byte.

    :param deadline: on the monotonic clock.
    """

    def __init__(self, connected: socket.socket, deadline: float) -> None:
        self._socket = connected
        self._deadline = deadline

    def armed(self) -> socket.socket:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)
        return self._socket

    def sendall(self, data: bytes) -> None:
        self.armed().sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self), _PIECE)

    def close(self) -> None:
        """Ignored: http.client closes the connection before the response is read; :func:`exchange` closes it."""


def _connect(origin: Origin, timeout: float, tls: ssl.SSLContext | None) -> socket.socket:
    with ExitStack() as undo:
        if origin.scheme == "unix":
            connection = undo.enter_context(closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)))
            connection.settimeout(timeout)
            connection.connect(origin.socket)
        else:
            connection = undo.enter_context(closing(socket.create_connection((origin.host, origin.port), timeout)))
            # Head and body are two writes; without Nagle's algorithm the second is not delayed by the first one's ACK.
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if origin.scheme == "https":
            connection = (tls or ssl.create_default_context()).wrap_socket(connection, server_hostname=origin.host)
        undo.pop_all()
    return connection


def exchange(
    origin: Origin, call: Call[Any], fields: Headers, *, timeout: float, limit: int, tls: ssl.SSLContext | None = None
) -> Answer:
    """Send a call on a new connection and read the complete response. Redirects are not followed.

    :param timeout: timeout of the whole exchange in seconds.
    :param limit: maximum bytes of the body.
    :raises Unreachable: when nothing was sent.
    :raises ConnectionLost: when the connection was lost before the response was complete.
    :raises AnswerTimeout: when the timeout expired.
    :raises BadAnswer: when the response is not HTTP, or too large.
    """
    deadline = time.monotonic() + timeout
    try:
        connected = _connect(origin, timeout, tls)
    except OSError as error:
        raise Unreachable(f"Cannot connect to {origin}: {_reason(error)}") from error
    with closing(connected):
        connection = http.client.HTTPConnection(origin.host, origin.port)
        timed: Any = _Timed(connected, deadline)
        connection.sock = timed
        try:
            return _converse(connection, origin, call, fields, limit)
        except TimeoutError as error:
            raise AnswerTimeout(f"{origin} did not answer within {timeout:g} s") from error
        except http.client.IncompleteRead as error:
            raise ConnectionLost(f"{origin} broke off its answer") from error
        except OSError as error:
            raise ConnectionLost(f"{origin} closed the connection: {_reason(error)}") from error
        except http.client.HTTPException as error:
            raise BadAnswer(f"{origin} does not speak HTTP") from error


def _converse(
    connection: http.client.HTTPConnection, origin: Origin, call: Call[Any], fields: Headers, limit: int
) -> Answer:
    body = call.body()
    connection.putrequest(call.method, origin.prefix + call.target, skip_accept_encoding=True)
    for name, value in (*fields, (b"connection", b"close")):
        connection.putheader(name, value)
    if body is not None or call.method == "POST":
        connection.putheader("content-length", str(len(body or b"")))
    # A daemon that rejects a request responds before it has read the body, and closes: prefer its response to the
    # broken pipe.
    with suppress(BrokenPipeError, ConnectionResetError):
        connection.endheaders(body)
    with closing(connection.getresponse()) as response:
        content = bytearray()
        while piece := response.read1(_PIECE):
            content += piece
            if len(content) > limit:
                raise AnswerTooLarge(f"{origin} answers with more than {limit} bytes")
        if response.length:
            raise http.client.IncompleteRead(bytes(content))
        headers = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, headers, bytes(content))


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
