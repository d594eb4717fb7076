"""Writing to a stream transport at once, when nothing waits before.

Twisted's ``transport.write`` keeps the bytes until the socket reports that it is writable: two more ``epoll_ctl`` and
another turn of the reactor for each answer. Nearly always the socket would have taken them at once.
"""

from __future__ import annotations

import fcntl
import struct
import termios
from typing import Any

from twisted.internet.tcp import Connection


def write(transport: Any, data: bytes) -> None:
    """Like ``transport.write(data)``, but tries the socket first. What it does not take, the transport keeps.

    A socket's error is left to the transport to find, which reads what the peer still said before it gives up.
    """
    if (
        isinstance(transport, Connection)
        and not (transport.dataBuffer or transport._tempDataLen)
        and transport.connected
        and not (transport.disconnecting or transport._writeDisconnecting or transport._writeDisconnected)
        and not transport.TLS
    ):
        try:
            sent = transport.socket.send(data)
        except OSError:
            sent = 0
        if sent == len(data):
            return
        data = data[sent:]
    transport.write(data)


def unsent(transport: Any) -> int:
    """Bytes that the transport keeps because the socket has not taken those before them."""
    if isinstance(transport, Connection):
        return len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return 0


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
