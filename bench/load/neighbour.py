"""The neighbour of hostile peers, a process of its own: ``python -m bench.load.neighbour PORT SECONDS PATH [FIELD…]``.

Each 20 ms it opens a new connection for ``GET /healthz`` and one for ``GET PATH``, whether or not earlier ones were
answered. A latency counts from the moment at which its request was due to the end of its answer, so that a stall is in
the figure of every request that it kept waiting. Prints two lines of JSON, ``/healthz``'s and the path's:
``{"latencies": […], "failed": n}``, in microseconds. One that fails, or is not answered :data:`PATIENCE` seconds after
the last was sent, has waited until then.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import sys
import time

import attrs

from bench.load.requests import request

#: Seconds between two requests of a kind, and to wait for the last answers.
INTERVAL, PATIENCE = 0.02, 5.0


@attrs.define(eq=False)
class Call:
    """One request on a connection of its own."""

    due: float
    kind: int
    connection: socket.socket
    answer: bytes = b""
    sent: bool = False


class Neighbour:
    """What it asks for, and what it got.

    :ivar latencies: microseconds, by kind.
    :ivar failed: how many were refused, cut short or not answered, by kind.
    """

    def __init__(self, port: int, requests: list[bytes]) -> None:
        self._address = ("127.0.0.1", port)
        self._requests = requests
        self._calls: dict[int, Call] = {}
        self._poll = select.epoll()
        self.latencies: list[list[int]] = [[] for _ in requests]
        self.failed = [0 for _ in requests]

    def run(self, seconds: float) -> None:
        """Ask for so long."""
        start = time.monotonic()
        kinds = len(self._requests)
        for number in range(round(seconds / INTERVAL) * kinds):
            due = start + number * INTERVAL / kinds
            while (left := due - time.monotonic()) > 0:
                self._take(left)
            self._ask(due, number % kinds)
        end = time.monotonic() + PATIENCE
        while self._calls and (left := end - time.monotonic()) > 0:
            self._take(left)
        for call in list(self._calls.values()):
            self._over(call, good=False)

    def _ask(self, due: float, kind: int) -> None:
        connection = socket.socket()
        connection.setblocking(False)
        connection.connect_ex(self._address)
        self._calls[connection.fileno()] = Call(due, kind, connection)
        self._poll.register(connection, select.EPOLLOUT)

    def _take(self, wait: float) -> None:
        for number, _ in self._poll.poll(wait):
            call = self._calls[number]
            try:
                if not call.sent:
                    call.connection.send(self._requests[call.kind])
                    call.sent = True
                    self._poll.modify(number, select.EPOLLIN)
                elif data := call.connection.recv(65536):
                    call.answer += data
                else:
                    self._over(call, good=call.answer.startswith(b"HTTP/1.1 200 "))
            except OSError:
                self._over(call, good=False)

    def _over(self, call: Call, *, good: bool) -> None:
        self.latencies[call.kind].append(round((time.monotonic() - call.due) * 1e6))
        self.failed[call.kind] += not good
        del self._calls[call.connection.fileno()]
        call.connection.close()


def main() -> None:
    """Ask, and tell."""
    port, seconds, path, *fields = sys.argv[1:]
    closing = ["Connection: close", *fields]
    neighbour = Neighbour(int(port), [request("/healthz", closing), request(path, closing)])
    gc.disable()  # it holds little, and its pauses are not the daemon's
    neighbour.run(float(seconds))
    for latencies, failed in zip(neighbour.latencies, neighbour.failed, strict=True):
        print(json.dumps({"latencies": latencies, "failed": failed}))


if __name__ == "__main__":
    main()
