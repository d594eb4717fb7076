"""WebSocket clients and an echo application in one process, on raw sockets: as little work as a load can be.

The application does not unmask what it gets: it answers each message with a frame of the same size made before. What is
measured is the proxy between the two.
"""

from __future__ import annotations

import select
import socket
import struct
import time

HANDSHAKE = (
    b"GET /previews/bench/ HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
GRANTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_READ = 1 << 18


def frame(size: int, masked: bool) -> bytes:
    """A binary message of so many bytes."""
    mask, key = (0x80, b"\0\0\0\0") if masked else (0, b"")
    if size < 126:
        head = struct.pack("!BB", 0x82, mask | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x82, mask | 126, size)
    else:
        head = struct.pack("!BBQ", 0x82, mask | 127, size)
    return head + key + bytes(size)


class Side:
    """A socket that sends a message for each message that it gets."""

    def __init__(self, connection: socket.socket, answer: bytes, expected: int) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setblocking(False)
        self.socket = connection
        self.answer = answer
        self.expected = expected
        self.got = 0
        self.unsent = b""
        self.messages = 0

    def readable(self) -> bool:
        """Take what is there, answer whole messages; whether something is left to send."""
        self.got += len(self.socket.recv(_READ))
        while self.got >= self.expected:
            self.got -= self.expected
            self.messages += 1
            self.unsent += self.answer
        return self.send()

    def send(self) -> bool:
        """Send what can be sent; whether something is left."""
        if self.unsent:
            try:
                sent = self.socket.send(self.unsent)
            except BlockingIOError:
                sent = 0
            self.unsent = self.unsent[sent:]
        return bool(self.unsent)


class Load:
    """An application that listens, and clients of it.

    :ivar port: the application's.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
        self.port: int = self._listener.getsockname()[1]

    def open(self, port: int, number: int) -> list[tuple[socket.socket, socket.socket]]:
        """So many open WebSockets to a port behind which this application is: each client's socket and its own."""
        pairs = []
        for _ in range(number):
            client = socket.create_connection(("127.0.0.1", port), timeout=30)
            client.sendall(HANDSHAKE)
            application, _ = self._listener.accept()
            application.settimeout(30)
            _read_head(application)
            application.sendall(GRANTED)
            _read_head(client)
            pairs.append((client, application))
        return pairs

    def echo(self, port: int, connections: int, size: int, seconds: float) -> float:
        """Messages a second there and back again, over so many connections with one message under way on each."""
        pairs = self.open(port, connections)
        request, answer = frame(size, True), frame(size, False)
        clients = [Side(client, request, len(answer)) for client, _ in pairs]
        sides = {side.socket.fileno(): side for side in clients}
        sides.update({a.fileno(): Side(a, answer, len(request)) for _, a in pairs})
        poll = select.epoll()
        for number in sides:
            poll.register(number, select.EPOLLIN)
        for side in clients:
            side.unsent = request
            if side.send():
                poll.modify(side.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
        start = time.perf_counter()
        while time.perf_counter() < start + seconds:
            for number, event in poll.poll(1):
                side = sides[number]
                left = side.readable() if event & select.EPOLLIN else side.send()
                if left or event & select.EPOLLOUT:
                    poll.modify(number, select.EPOLLIN | (select.EPOLLOUT if left else 0))
        rate = sum(side.messages for side in clients) / (time.perf_counter() - start)
        poll.close()
        close(pairs)
        return rate


def close(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
    """Close both ends of each."""
    for client, application in pairs:
        client.close()
        application.close()


def _read_head(connection: socket.socket) -> None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(4096)
        if not piece:
            raise ConnectionError(f"no handshake: {data!r}")
        data += piece
