"""WebSocket clients and an application in one process, on raw sockets: as little work as a load in Python can be.

The application does not unmask what it gets: it answers each message with a frame of the same size made before. What is
measured is the proxy between the two.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from bench.load.streams import accepted, read_until
from bench.measurement import Failed
from bench.peers import Proxy

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
)
_GRANTED = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)
_READ = 1 << 18
#: WebSockets that are opened together.
_AT_ONCE = 50

#: A client's socket and the application's for it.
Pair = tuple[socket.socket, socket.socket]


def frame(size: int, masked: bool) -> bytes:
    """A binary message of so many bytes, as a client (masked) or an application sends it (RFC 6455 section 5.2)."""
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
        data = self.socket.recv(_READ)
        if not data:
            raise Failed("a WebSocket was ended")
        self.got += len(data)
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


class WebSockets:
    """An application that listens, and clients of it.

    :ivar port: the application's.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=8192)
        self._listener.settimeout(20)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> WebSockets:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()

    @contextmanager
    def opened(self, proxy: Proxy, number: int) -> Iterator[Sequence[Pair]]:
        """So many open WebSockets through a proxy."""
        with ExitStack() as stack:
            numbers = range(0, number, _AT_ONCE)
            yield [pair for done in numbers for pair in self._open(proxy, min(_AT_ONCE, number - done), stack)]

    def _open(self, proxy: Proxy, number: int, stack: ExitStack) -> list[Pair]:
        headers = "".join(f"{field}\r\n" for field in proxy.headers)
        request = _UPGRADE.format(path=proxy.path("sockets", "/"), headers=headers).encode()
        address = ("127.0.0.1", proxy.port("sockets"))
        clients = [stack.enter_context(socket.create_connection(address, timeout=20)) for _ in range(number)]
        for client in clients:
            client.sendall(request)
        applications = [accepted(self._listener, b"\r\nupgrade: websocket\r\n", stack) for _ in clients]
        for application in applications:
            application.sendall(_GRANTED)
        for client in clients:
            read_until(client, b"\r\n\r\n")
        return list(zip(clients, applications, strict=True))

    def connect(self, proxy: Proxy, at_once: int, seconds: float) -> int:
        """Open WebSockets and close them again, so many at once, for a while; their number."""
        number = 0
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            with ExitStack() as stack:
                number += len(self._open(proxy, at_once, stack))
        return number

    def broadcast(self, proxy: Proxy, number: int, seconds: float) -> Sequence[float]:
        """Have the application send a message of 64 bytes to each of so many sockets, again when all have it.

        :return: milliseconds of each broadcast, from its first byte's sending to the last client's having it.
        """
        message = frame(64, False)
        took = []
        with self.opened(proxy, number) as pairs, select.epoll() as poll:
            clients = {client.fileno(): client for client, _ in pairs}
            for descriptor in clients:
                poll.register(descriptor, select.EPOLLIN)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                start, missing = time.perf_counter(), number * len(message)
                for _, application in pairs:
                    application.sendall(message)
                while missing:
                    ready = poll.poll(20)
                    if not ready:
                        raise Failed("a broadcast did not arrive")
                    for descriptor, _ in ready:
                        missing -= len(clients[descriptor].recv(_READ))
                took.append((time.perf_counter() - start) * 1000)
        return took

    def echo(self, proxy: Proxy, connections: int, size: int, seconds: float) -> int:
        """Have messages go there and back again, one under way on each of so many connections; their number."""
        request, answer = frame(size, True), frame(size, False)
        with self.opened(proxy, connections) as pairs, select.epoll() as poll:
            clients = [Side(client, request, len(answer)) for client, _ in pairs]
            sides = {side.socket.fileno(): side for side in clients}
            sides |= {a.fileno(): Side(a, answer, len(request)) for _, a in pairs}
            for number in sides:
                poll.register(number, select.EPOLLIN)
            for side in clients:
                side.unsent = request
                if side.send():
                    poll.modify(side.socket.fileno(), select.EPOLLIN | select.EPOLLOUT)
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                for number, event in poll.poll(1):
                    side = sides[number]
                    left = side.readable() if event & select.EPOLLIN else side.send()
                    if left or event & select.EPOLLOUT:
                        poll.modify(number, select.EPOLLIN | (select.EPOLLOUT if left else 0))
            return sum(side.messages for side in clients)
