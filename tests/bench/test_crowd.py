"""The crowd of slow clients: it is as slow as it says, and does not pass over in silence that it was turned away."""

from __future__ import annotations

import doctest
import selectors
import socket
import threading
import time
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from bench.load.crowd import SESSIONS, Crowd
from bench.measurement import Failed
from bench.peers import Proxy
from bench.workloads import crowd as workload

REFUSAL = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n"
DOWNLOAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000


class Server(threading.Thread):
    """Notes what comes, and answers it.

    :param refuse: whether a head that comes in pieces is refused, after its second byte.
    :param upload: the answer to an upload's head.
    """

    def __init__(self, refuse: bool = False, upload: bytes = b"") -> None:
        super().__init__(daemon=True)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self._listener.getsockname()[1]
        self._refuse, self._upload = refuse, upload
        self._over = False
        self.heads: list[bytes] = []
        self.uploaded = 0
        self.left = 0

    def run(self) -> None:
        """Serve until told to stop."""
        with selectors.DefaultSelector() as selector, self._listener:
            selector.register(self._listener, selectors.EVENT_READ)
            while not self._over:
                for key, _ in selector.select(0.05):
                    if key.fileobj is self._listener:
                        selector.register(self._listener.accept()[0], selectors.EVENT_READ, [b""])
                    else:
                        self._take(selector, key)
            for key in list(selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]

    def _take(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        connection: socket.socket = key.fileobj  # type: ignore[assignment]
        try:
            data = connection.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.left += 1
            if b"\r\n\r\n" not in key.data[0]:
                self.heads.append(key.data[0])
            selector.unregister(connection)
            connection.close()
            return
        before, key.data[0] = key.data[0], key.data[0] + data
        if before.startswith(b"POST"):
            self.uploaded += len(data)
        elif data.startswith(b"POST") and self._upload:
            connection.sendall(self._upload)
        elif data.startswith(b"GET /huge"):
            connection.setblocking(False)
            connection.send(DOWNLOAD)
        elif self._refuse and len(key.data[0]) == 2:
            connection.sendall(REFUSAL)

    def stop(self) -> None:
        """End."""
        self._over = True
        self.join(10)


class Crowds(SynchronousTestCase):
    def start(self, server: Server) -> Proxy:
        """What stands for a proxy."""
        server.start()
        self.addCleanup(server.stop)
        return Proxy(0, dict.fromkeys(SESSIONS, server.port), prefixed=False)

    def test_examples(self) -> None:
        self.assertEqual(doctest.testmod(workload).failed, 0)

    def test_heads_and_uploads_trickle_and_all_leave(self) -> None:
        server = Server()
        with Crowd(self.start(server), heads=10, uploads=5, readers=3, seconds=0.2) as crowd:
            self.until(lambda: server.uploaded >= 10)
            crowd.check()
        self.until(lambda: server.left == 18)
        self.assertEqual(crowd.refused, 0)
        self.assertEqual([head for head in server.heads if not b"GET /small HTTP/1.1".startswith(head)], [])
        self.assertEqual(len(server.heads), 10)
        # A byte at a time: the fifth upload has hardly more than the first.
        self.assertLess(server.uploaded, 1000)

    def test_head_that_is_refused_begins_anew(self) -> None:
        server = Server(refuse=True)
        with Crowd(self.start(server), heads=5, uploads=1, readers=1, seconds=0.2) as crowd:
            self.until(lambda: crowd.refused >= 5)
            crowd.check()

    def test_upload_that_is_answered_is_a_failure(self) -> None:
        """A proxy that turns slow clients away is not measured among them."""
        server = Server(upload=b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
        with Crowd(self.start(server), heads=1, uploads=1, readers=1, seconds=0.1) as crowd:
            self.until(lambda: crowd.failed)
            error = self.assertRaises(Failed, crowd.check)
        self.assertIn("503", str(error))

    def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something, for long."""
        end = time.monotonic() + 20
        while not holds():
            self.assertLess(time.monotonic(), end, "it takes too long")
            time.sleep(0.02)
