"""Server-sent events: a source and its many readers in one process, so that both go by one clock and can be counted."""

from __future__ import annotations

import re
import select
import socket
import time
from contextlib import ExitStack

import attrs

from bench.load.requests import request
from bench.measurement import Failed
from bench.peers import Proxy

# Ended by the end of the connection; with a first comment, because node keeps a head back until there is a body.
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n: hi\n\n"
_EVENT = re.compile(rb"data: (\d{20})\n\n")
#: Events that are sent before arrivals are looked at again, and seconds to wait for the last ones.
_SLICE, _PATIENCE = 20, 3.0


@attrs.frozen
class Delivered:
    """What arrived.

    :ivar latencies: microseconds from the moment at which an event began to be sent to all, of each arrival.
    :ivar lost: events that did not arrive within three seconds after the last one was sent.
    """

    latencies: list[int]
    lost: int


class Streams:
    """An application that streams, and its readers.

    :ivar port: the application's.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._listener.settimeout(20)
        self.port: int = self._listener.getsockname()[1]

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *exception: object) -> None:
        self._listener.close()

    def fan_out(self, proxy: Proxy, streams: int, events: int, interval: float) -> Delivered:
        """Send so many events to each of so many streams, one each ``interval`` seconds.

        :raises Failed: when a stream does not open.
        """
        with ExitStack() as stack:
            pairs = [self._open(proxy, stack) for _ in range(streams)]
            poll = stack.enter_context(select.epoll())
            readers = {client.fileno(): client for client, _ in pairs}
            rest = dict.fromkeys(readers, b"")
            latencies: list[int] = []

            def collect(wait: float) -> None:
                for number, _ in poll.poll(wait, 256):
                    data = rest[number] + readers[number].recv(65536)
                    arrived = time.perf_counter_ns()
                    if data == rest[number]:
                        poll.unregister(number)
                    latencies.extend((arrived - int(sent[1])) // 1000 for sent in _EVENT.finditer(data))
                    rest[number] = data[data.rfind(b"\n\n") + 2 :][-100:] if b"\n\n" in data else data[-100:]

            for number in readers:
                poll.register(number, select.EPOLLIN)
            start = time.perf_counter()
            for event in range(events):
                while (left := start + event * interval - time.perf_counter()) > 0:
                    collect(left)
                message = b"data: %020d\n\n" % time.perf_counter_ns()
                for position, (_, application) in enumerate(pairs):
                    application.send(message)
                    if position % _SLICE == 0:
                        collect(0)
            end = time.perf_counter() + _PATIENCE
            while len(latencies) < streams * events and time.perf_counter() < end:
                collect(0.05)
        if not latencies:
            raise Failed("no event arrived")
        return Delivered(latencies, streams * events - len(latencies))

    def _open(self, proxy: Proxy, stack: ExitStack) -> tuple[socket.socket, socket.socket]:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port("events")), timeout=20))
        client.sendall(request(proxy.path("events", "/"), [*proxy.headers, "Accept: text/event-stream"]))
        application = accepted(self._listener, b"\r\naccept: text/event-stream\r\n", stack)
        application.sendall(_HEAD)
        read_until(client, b": hi\n\n")
        return client, application


def accepted(listener: socket.socket, field: bytes, stack: ExitStack) -> socket.socket:
    """An application's socket of a request with a field; requests without it, which probe the application, get a 200.

    :param field: in lower case.
    """
    while True:
        connection = listener.accept()[0]
        connection.settimeout(20)
        if field in read_until(connection, b"\r\n\r\n").lower():
            return stack.enter_context(connection)
        with connection:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


def read_until(connection: socket.socket, mark: bytes) -> bytes:
    """Read up to a mark, when nothing comes behind it; gives what was read.

    :raises Failed: when the connection ends before.
    """
    data = b""
    while mark not in data:
        piece = connection.recv(4096)
        if not piece:
            raise Failed(f"a connection was ended: {data[:200]!r}")
        data += piece
    return data
