"""The tour's requests, and the curl lines that make the same ones."""

from __future__ import annotations

import http.server
import json
import shlex
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from quickstart.console import Failed
from quickstart.wire import Call, Wire
from twisted.trial.unittest import SynchronousTestCase

pytestmark = pytest.mark.integration

KEY = "a-key-that-nobody-may-see"
CALLS = (
    Call("GET", "/api/internal/sessions/s1/dirs?path=app&x=1"),
    Call("POST", "/api/internal/sessions/s1/exec", {"command": "echo 'quoted \"twice\"' $HOME; ls"}),
    Call("DELETE", "/api/internal/sessions/s1"),
    Call("GET", "/previews/s1/health"),
)


class _Recorder(http.server.BaseHTTPRequestHandler):
    """Notes each request on its server and answers with the status that the server was told."""

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server: Any = self.server
        server.seen.append(
            (self.command, self.path, self.headers.get("X-Internal-Service-Key"), body and json.loads(body))
        )
        self.send_response(server.status)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b'"said"')

    do_GET = do_POST = do_DELETE = _answer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class WireTests(SynchronousTestCase):
    """Against a real server that writes down what it gets."""

    def setUp(self) -> None:
        """Start the server, and put the key where the tour has it."""
        self.server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Recorder)
        self.server.seen, self.server.status = [], 200
        thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        folder = tempfile.TemporaryDirectory(prefix="key files ")
        self.addCleanup(folder.cleanup)
        key_file = Path(folder.name, "service-key.header")
        key_file.write_text(f"X-Internal-Service-Key: {KEY}\n")
        self.wire = Wire(f"http://127.0.0.1:{self.server.server_port}", key_file)

    def test_curl_lines_make_the_same_requests(self) -> None:
        """Method, target, key and body are alike; the key itself is not in the line."""
        for call in CALLS:
            self.wire.send(call)
            line = call.curl(self.wire.url, self.wire.key_file)
            self.assertNotIn(KEY, line)
            subprocess.run(
                [*shlex.split(line), "--silent", "--show-error"], check=True, capture_output=True, timeout=30
            )
            ours, curls = self.server.seen
            self.server.seen.clear()
            self.assertEqual(ours, curls)

    def test_only_the_api_gets_the_key(self) -> None:
        """Previews lead into containers, and some requests are there to be refused."""
        self.wire.send(Call("GET", "/previews/s1/"))
        self.wire.send(Call("GET", "/api/internal/sessions"), authenticated=False)
        self.wire.send(Call("GET", "/api/internal/sessions"))
        self.assertEqual([key for _, _, key, _ in self.server.seen], [None, None, KEY])

    def test_wrong_status_is_told_with_the_answer(self) -> None:
        """Which request, what came, what should have come."""
        self.server.status = 503
        failure = self.assertRaises(Failed, self.wire.expect, 200, CALLS[0])
        self.assertEqual(str(failure), f'GET {CALLS[0].path} answered 503 instead of 200: "said"')

    def test_right_status_gives_the_answer(self) -> None:
        """Its JSON is there to be judged."""
        self.assertEqual(self.wire.expect(200, CALLS[0]).json, "said")

    def test_daemon_that_is_gone_is_told(self) -> None:
        """Rather than a traceback."""
        wire = Wire("http://127.0.0.1:1", self.wire.key_file)
        failure = self.assertRaises(Failed, wire.expect, 200, CALLS[3])
        self.assertIn("GET /previews/s1/health: ", str(failure))
