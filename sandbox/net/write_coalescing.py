"""Writing to a stream transport without waiting for a writable event.

Twisted's ``transport.write`` buffers until epoll reports the socket writable: two more ``epoll_ctl`` calls and another
turn of the reactor per response, although the socket would nearly always accept the bytes at once.

With a :class:`WriteBatch` in the reactor, small writes are collected until all events of the turn are handled. A
``send`` to a sleeping reader has to wake it, which on a virtual machine costs as much as the ``send`` itself; of
several ``send`` calls in a row only the first one pays for that.
"""

from __future__ import annotations

import errno
import fcntl
import socket
import struct
import termios
from functools import partial
from typing import Any

from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

#: Bytes from which a write is sent immediately: copying it would cost more than coalescing could save.
_LARGE = 16 * 1024
# Errors of send that are not a reset: the socket is full, or the peer closed earlier, which a read reports.
_NO_NEWS = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EPIPE})
# TCP_CLOSE after a reset, TCP_CLOSE_WAIT after a FIN (Linux, include/net/tcp_states.h).
_LEFT = frozenset({7, 8})


class WriteBatch:
    """Transports written to in this turn of the reactor. The bytes are in their own buffers.

    :ivar held: transports in order of their first write.
    """

    def __init__(self) -> None:
        self.held: dict[Connection, None] = {}

    def send(self) -> None:
        """Flush all transports. Bytes that a socket does not accept remain in its transport's buffer."""
        held, self.held = self.held, {}
        for transport in held:
            try:
                _send_written(transport)
            except Exception:
                # Raised by a producer that was paused. Continue with the other transports.
                _log.failure("unhandled error while sending to {transport}", transport=repr(transport))
                transport.abortConnection()


def _send_written(transport: Connection) -> None:
    written = transport._tempDataBuffer
    # The connection may have been lost meanwhile, or the reactor may already write to it.
    if written and transport.connected and not (transport.dataBuffer or transport._writeDisconnected):
        transport._tempDataBuffer = []
        transport._tempDataLen = 0
        _send(transport, written[0] if len(written) == 1 else b"".join(written))
        if transport.disconnecting and transport.producer is None and not unsent(transport):
            # It was to be closed behind that: not in a later turn, which others may have to wait for.
            close(transport)


def write(transport: Any, data: bytes) -> None:
    """Like ``transport.write(data)``, but tries the socket first: now, or at the end of the reactor's turn.

    The transport handles socket errors when it reads next, so that it first reads what the peer sent before. A reset
    that was consumed here is remembered: the end of stream that the transport reads is then reported as a lost
    connection, not as an orderly close.
    """
    if not isinstance(transport, Connection) or transport.TLS:
        transport.write(data)
        return
    reactor: Any = transport.reactor
    try:
        batch: WriteBatch | None = reactor.batch
    except AttributeError:
        batch = None
    if transport._tempDataLen or transport.dataBuffer:
        if batch is not None and transport in batch.held and transport._tempDataLen < _LARGE:
            transport._tempDataBuffer.append(data)
            transport._tempDataLen += len(data)
        else:
            transport.write(data)
    elif transport._writeDisconnected or not transport.connected:
        transport.write(data)
    elif batch is None or len(data) >= _LARGE:
        _send(transport, data)
    else:
        transport._tempDataBuffer.append(data)
        transport._tempDataLen = len(data)
        batch.held[transport] = None


def _send(transport: Connection, data: bytes) -> None:
    try:
        sent = transport.socket.send(data)
    except OSError as error:
        sent = 0
        if error.errno not in _NO_NEWS:
            # The kernel reports a reset once; the next read would see an orderly end of stream.
            transport.readConnectionLost = partial(_be_lost, transport)  # type: ignore[method-assign]
    if sent != len(data):
        transport.write(data[sent:])


def _be_lost(transport: Connection, reason: Failure) -> None:
    transport.connectionLost(Failure(ConnectionLost()))


def close(transport: Any) -> None:
    """Close a connection without pending output, and free its descriptor now rather than in the next turn."""
    if isinstance(transport, Connection):
        transport.connectionLost(connectionDone)
    else:
        transport.loseConnection()


def unsent(transport: Any) -> int:
    """Bytes buffered by the transport because the socket is full.

    Meaningful between turns of the reactor only: within a turn the buffer also holds bytes not yet tried.
    """
    if isinstance(transport, Connection):
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return 0


def left(transport: Any) -> bool:
    """Whether the peer has closed or reset the connection, which is otherwise not reported while reading is paused."""
    if not isinstance(transport, Connection):
        return False
    try:
        state = transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:  # not TCP
        return False
    return state in _LEFT


def unacknowledged(transport: Any) -> int:
    """Bytes written but not acknowledged by the peer's kernel: those in the transport and those in our kernel.

    Without the kernel's part the progress of a slow reader would be invisible: its buffers hold megabytes.
    """
    if not isinstance(transport, Connection):
        return 0
    try:
        queued: int = struct.unpack("i", fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    except (OSError, ValueError):
        queued = 0
    return unsent(transport) + queued
