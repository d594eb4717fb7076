"""More idle clients than the daemon has descriptors keep it from nothing (F42)."""

from __future__ import annotations

import http.client
import resource
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.daemon import Daemon
from tests.engine import Lab

SOMAXCONN = Path("/proc/sys/net/core/somaxconn")
PAGE = "<h1>from the container</h1>\n"


class IdleClients(SynchronousTestCase):
    timeout = 120

    def setUp(self) -> None:
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.id = self.lab.session_id()
        self.addCleanup(self.lab.remove_session, self.id)
        self.daemon = Daemon(Path(self.mktemp()))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        try:
            self.daemon.start()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        self.addCleanup(self.daemon.stop)

    def test_f32_the_kernel_keeps_thousands_of_connections_until_they_are_accepted(self) -> None:
        """Fifty, Twisted's own number, come while others are served: who finds no room waits for a second."""
        listening = subprocess.run(
            ["ss", "-Hltn", f"sport = :{self.daemon.port}"], capture_output=True, text=True, check=True, timeout=20
        )
        self.assertEqual(int(listening.stdout.split()[2]), min(4096, int(SOMAXCONN.read_text())))

    def test_f42_four_hundred_of_them_with_256_descriptors(self) -> None:
        call = self.daemon.call
        call("POST", "sessions", {"userId": "u1", "id": self.id}, status=201)
        call("POST", f"sessions/{self.id}/files", {"path": "www/index.html", "content": PAGE}, status=201)
        call("POST", f"sessions/{self.id}/exec", {"command": "httpd -p 3000 -h /workspace/www"})
        call("POST", f"sessions/{self.id}/previews", {"port": 3000}, status=201)
        with ExitStack() as clients:
            idle = [
                clients.enter_context(socket.create_connection(("127.0.0.1", self.daemon.port), timeout=20))
                for _ in range(400)
            ]
            for _ in range(20):
                self.assertEqual(self.daemon.request("GET", f"/previews/{self.id}/"), (200, PAGE.encode()))
            self.assertEqual(call("POST", f"sessions/{self.id}/exec", {"command": "echo done"})["stdout"], "done\n")
            call("POST", f"sessions/{self.id}/stop")
            # The first to come were the first to go, without a word.
            self.assertEqual([each.recv(1) for each in idle[:250]], [b""] * 250)
            last = http.client.HTTPConnection("127.0.0.1", self.daemon.port)
            last.sock = idle[-1]
            last.request("GET", "/healthz")
            self.assertEqual(last.getresponse().status, 200)
