"""The load's own honesty: which moment latencies count from, and what it takes for an answer."""

from __future__ import annotations

import socket
import tempfile
import threading
import time
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from bench.load.requests import Load, request
from bench.measurement import Failed

pytestmark = pytest.mark.integration

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
STALL = 0.4


class Server(threading.Thread):
    """Answers one connection's requests, and stalls once.

    :param stall_at: the request before whose answer it stands still for :data:`STALL` seconds.
    """

    def __init__(self, answer: bytes = ANSWER, stall_at: int = -1) -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.port: int = self._listener.getsockname()[1]
        self._answer = answer
        self._stall_at = stall_at

    def run(self) -> None:
        """Serve until the client goes."""
        number = 0
        with self._listener, self._listener.accept()[0] as connection:
            connection.settimeout(10)
            while data := connection.recv(65536):
                for _ in range(data.count(b"\r\n\r\n")):
                    if number == self._stall_at:
                        time.sleep(STALL)
                    number += 1
                    connection.sendall(self._answer)


class Loads(SynchronousTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="bench-load-")
        self.addCleanup(folder.cleanup)
        self.load = Load.build(Path(folder.name))

    def start(self, server: Server) -> int:
        """Its port, while it serves."""
        server.start()
        self.addCleanup(server.join, 20)
        return server.port

    def test_open_loop_counts_the_waits_that_a_stall_causes(self) -> None:
        """Requests that were due while the server stood still waited for it, though only one was on the wire."""
        port = self.start(Server(stall_at=50))
        seen = self.load.open(port, [request("/")], connections=1, rate=200, seconds=1)
        self.assertEqual(len(seen.latencies), 200)
        # 80 requests become due during 0.4 s; with coordinated omission one of them would be late.
        late = [latency for latency in seen.latencies if latency > STALL * 1e6 / 4]
        self.assertGreater(len(late), 40)
        self.assertGreaterEqual(max(seen.latencies), STALL * 1e6 * 0.99)

    def test_closed_loop_leaves_them_out(self) -> None:
        """It is told apart from the open loop by just that."""
        port = self.start(Server(stall_at=50))
        seen = self.load.closed(port, [request("/")], connections=1, count=200)
        self.assertEqual(len(seen.latencies), 200)
        self.assertGreaterEqual(seen.seconds, STALL)
        self.assertGreaterEqual(max(seen.latencies), STALL * 1e6 * 0.99)
        self.assertLess(sum(latency > STALL * 1e6 / 4 for latency in seen.latencies), 40)

    def test_requests_are_due_at_the_rate(self) -> None:
        """No quicker than asked for, whatever the server can do."""
        port = self.start(Server())
        seen = self.load.open(port, [request("/")], connections=1, rate=100, seconds=0.5)
        self.assertEqual(len(seen.latencies), 50)
        self.assertGreaterEqual(seen.seconds, 0.48)

    def test_time_limit_ends_a_closed_loop(self) -> None:
        port = self.start(Server())
        seen = self.load.closed(port, [request("/")], connections=1, seconds=0.3)
        self.assertGreaterEqual(seen.seconds, 0.25)
        self.assertGreater(len(seen.latencies), 10)

    def test_answer_that_is_no_success_is_a_failure(self) -> None:
        """A proxy that refuses quickly is not a quick proxy."""
        port = self.start(Server(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
        error = self.assertRaises(Failed, self.load.closed, port, [request("/")], connections=1, count=5)
        self.assertIn("502", str(error))

    def test_body_makes_a_post(self) -> None:
        self.assertEqual(request("/x", ["A: b"]), b"GET /x HTTP/1.1\r\nHost: localhost\r\nA: b\r\n\r\n")
        self.assertTrue(request("/x", body=b"12").endswith(b"Content-Length: 2\r\n\r\n12"))
        self.assertTrue(request("/x", body=b"12").startswith(b"POST "))
