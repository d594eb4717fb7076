"""Writing to a stream transport without waiting for its socket to say that it is writable.

Twisted's ``transport.write`` keeps the bytes until the reactor is told that the socket is writable: two more
``epoll_ctl`` and another turn of the reactor for each answer. Nearly always the socket would have taken them at once.

Where the reactor has a :class:`WriteBatch`, small pieces wait there until every event of the same turn of the reactor
is handled. Each ``send`` that finds its reader asleep has to wake it, which on a virtual machine costs as much as
the ``send`` itself; of several in a row only the first does.
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

#: Bytes from which a piece is sent at once: what moving it costs is more than what waiting could save.
_LARGE = 16 * 1024
# Errors of sending that are no reset: the socket is full; the peer had ended in order before, which reading tells.
_NO_NEWS = frozenset({errno.EAGAIN, errno.ENOBUFS, errno.EPIPE})
# TCP_CLOSE after a reset, TCP_CLOSE_WAIT after a FIN (Linux, include/net/tcp_states.h).
_LEFT = frozenset({7, 8})


class WriteBatch:
    """Transports that were written to in this turn of the reactor. What they were given stands in their own buffers.

    :ivar held: in the order in which they were written to.
    """

    def __init__(self) -> None:
        self.held: dict[Connection, None] = {}

    def send(self) -> None:
        """Send what was written. What a socket does not take, its transport keeps."""
        held, self.held = self.held, {}
        for transport in held:
            try:
                _send_written(transport)
            except Exception:
                # A producer's, that was told to pause. The others' bytes must leave.
                _log.failure("unhandled error while sending to {transport}", transport=repr(transport))
                transport.abortConnection()


def _send_written(transport: Connection) -> None:
    written = transport._tempDataBuffer
    # It may have been lost meanwhile, or be in the hands of the reactor, which has been told to write to it.
    if written and transport.connected and not (transport.dataBuffer or transport._writeDisconnected):
        transport._tempDataBuffer = []
        transport._tempDataLen = 0
        _send(transport, written[0] if len(written) == 1 else b"".join(written))


def write(transport: Any, data: bytes) -> None:
    """Like ``transport.write(data)``, but tries the socket first: now, or at the end of the reactor's turn.

    A socket's error is left to the transport to find, which reads what the peer still said before it gives up. It finds
    it even where this took it from the socket: an end that follows is no orderly one.
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
            # The kernel tells of a reset once: whoever reads next is told of an orderly end.
            transport.readConnectionLost = partial(_be_lost, transport)  # type: ignore[method-assign]
    if sent != len(data):
        transport.write(data[sent:])


def _be_lost(transport: Connection, reason: Failure) -> None:
    transport.connectionLost(Failure(ConnectionLost()))


def close(transport: Any) -> None:
    """Close a connection that has nothing to send, and have its descriptor free now, not in the next turn."""
    if isinstance(transport, Connection):
        transport.connectionLost(connectionDone)
    else:
        transport.loseConnection()


def unsent(transport: Any) -> int:
    """Bytes that the transport keeps because the socket has not taken those before them.

    Between two turns of the reactor: within one they may be bytes that nobody has tried to send yet.
    """
    if isinstance(transport, Connection):
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return 0


def left(transport: Any) -> bool:
    """Whether the peer has closed or reset the connection, which nobody is told while nothing is read from it."""
    if not isinstance(transport, Connection):
        return False
    try:
        state = transport.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]
    except OSError:  # not TCP
        return False
    return state in _LEFT


def unacknowledged(transport: Any) -> int:
    """Bytes that were written and that the peer's kernel has not taken: the transport's, and those in our kernel.

    Only with the kernel's does it show that a slow reader reads: its buffers hold megabytes.
    """
    if not isinstance(transport, Connection):
        return 0
    try:
        queued: int = struct.unpack("i", fcntl.ioctl(transport.fileno(), termios.TIOCOUTQ, b"\0" * 4))[0]
    except (OSError, ValueError):
        queued = 0
    return unsent(transport) + queued
