"""Applications that are no dev servers, each in a container behind the daemon: sockets, streams, downloads."""

from __future__ import annotations

import hashlib
import http.client
import json
import signal
import socket
import time
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from tests.browser.projects import JUPYTER, WS
from tests.browser.stage import PreviewCase
from tests.daemon import KEY
from tests.gateway.conversation import converse
from tests.session_image import ensure_session_image

# The first run makes the images.
pytestmark = pytest.mark.timeout(900)

_SECONDS = 30


class WebSocketTests(PreviewCase):
    """npm's ws in a container, PyPI's websockets outside."""

    def setUp(self) -> None:
        super().setUp()
        self.run_application(WS.ensure(), ["node", "echo.js"], 3000)

    def test_the_conversation_by_path_by_host_and_by_the_internal_twin(self) -> None:
        converse(self.urls["url"].replace("http", "ws"))
        # Not every resolver knows *.localhost as browsers do, so the name goes into the Host field only.
        host = self.urls["hostUrl"].replace("http", "ws")
        with connect(host + "x", sock=socket.create_connection(("127.0.0.1", self.daemon.port))) as client:
            client.send("url")
            self.assertEqual(client.recv(_SECONDS), "/x")
        twin = f"ws://127.0.0.1:{self.daemon.port}/internal-previews/proxy/{self.session_id}/"
        with connect(twin + "x", additional_headers={"X-Internal-Service-Key": KEY}) as client:
            client.send("url")
            self.assertEqual(client.recv(_SECONDS), "/x")

    def ended(self, end: Any) -> tuple[int, str]:
        """How an open WebSocket ends by what ``end`` does."""
        with connect(self.urls["url"].replace("http", "ws"), close_timeout=_SECONDS) as client:
            client.send("here")
            self.assertEqual(client.recv(_SECONDS), "here")
            end()
            with self.assertRaises(ConnectionClosed) as raised:
                client.recv(_SECONDS)
            frame = raised.exception.rcvd
            return (frame.code, frame.reason) if frame is not None else (1006, "")

    def test_a_container_that_dies_says_going_away(self) -> None:
        self.assertEqual(self.ended(lambda: self.lab.engine.kill(self.container)), (1001, "The preview has ended"))

    def test_a_container_that_is_stopped_says_going_away(self) -> None:
        self.assertEqual(
            self.ended(lambda: self.lab.engine.stop(self.container, timeout=1)), (1001, "The preview has ended")
        )

    def test_an_application_that_dies_alone_is_an_abrupt_loss(self) -> None:
        self.lab.engine.remove_container(self.container, force=True)
        self.container = None
        self.run_application(WS.ensure(), ["sh", "-c", "node echo.js; sleep 1000"], 3000)
        self.assertEqual(self.ended(lambda: self.lab.run(self.container or "", "kill -9 $(pidof node)")), (1006, ""))

    def test_a_daemon_that_ends_says_service_restart(self) -> None:
        process = self.daemon.process
        assert process is not None
        self.assertEqual(self.ended(lambda: process.send_signal(signal.SIGTERM)), (1012, "Service restart"))
        self.assertEqual(process.wait(_SECONDS), 0)


STREAM = """
import http.server, time
class Stream(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for number in range(5 if self.path == "/events" else 0):
            self.wfile.write(b"data: %d\\n\\n" % number)
            time.sleep(0.3)
http.server.ThreadingHTTPServer(("", 8000), Stream).serve_forever()
"""


class StartingTests(PreviewCase):
    """An application that is not there yet."""

    def test_the_page_gives_way_to_it_by_itself_and_leaves_the_address_as_it_was(self) -> None:
        serve = "echo '<title>Here</title>' >index.html; exec python3 -m http.server"
        command = ["sh", "-c", f"until [ -e go ]; do sleep 0.1; done; {serve}"]
        for form in ("url", "hostUrl"):

            def check(browser: Any, form: str = form) -> None:
                self.start_application(ensure_session_image(), command, 8000)
                address = self.urls[form] + "?a=1#/settings"
                browser.open(address)
                self.assertEqual(browser.run("return document.title"), "The preview is starting")
                # It has tried again, and waits for longer.
                browser.until(lambda: browser.run("return (history.state || {}).sandboxRetry") == 2, "two tries")
                self.write("go", "")
                browser.until(lambda: browser.run("return document.title") == "Here", "the application")
                self.assertEqual(browser.run("return location.href"), address)

            self.in_browser(check)


class StreamTests(PreviewCase):
    """Server-sent events."""

    def test_each_event_comes_when_it_is_sent(self) -> None:
        self.run_application(ensure_session_image(), ["python3", "-c", STREAM], 8000)

        def check(browser: Any) -> None:
            browser.open(self.urls["hostUrl"])
            browser.run(
                "window.came = []; const source = new EventSource('events');"
                "source.onmessage = event => came.push([event.data, performance.now()]);"
                "source.onerror = () => source.close();"
            )
            browser.until(lambda: browser.run("return came.length") == 5, "five events")
            came = browser.run("return came")
            self.assertEqual([data for data, _ in came], list("01234"))
            # 1.2 s lie between the first and the last when they are sent; held back they would come together.
            self.assertGreater(came[-1][1] - came[0][1], 600)

        self.in_browser(check)


class JupyterTests(PreviewCase):
    """A Jupyter server, whose kernels speak over a WebSocket."""

    def serve(self, base: str, **registration: Any) -> None:
        options = {"ip": "0.0.0.0", "port": "8888", "base_url": base, "token": "secret"}
        arguments = [f"--ServerApp.{name}={value}" for name, value in options.items()]
        script = "export PYTHONPATH=/workspace/packages HOME=/tmp; exec python3 -m jupyter_server --no-browser "
        command = ["sh", "-c", script + " ".join(arguments)]
        self.run_application(JUPYTER.ensure(), command, 8888, **registration)

    def test_a_kernel_computes_by_host(self) -> None:
        self.serve("/")
        self.compute(self.urls["hostUrl"])

    def test_a_kernel_computes_by_path_with_its_base_url(self) -> None:
        self.serve(f"/previews/{self.session_id}/", stripPrefix=False)
        self.compute(self.urls["url"])

    def compute(self, url: str) -> None:
        """Start a kernel and have it compute, as a notebook's page does."""
        address = urlsplit(url)
        origin = f"http://{address.netloc}"
        fields = {"Host": address.netloc, "Origin": origin, "Authorization": "token secret"}
        status, content = self.daemon.request("POST", f"{address.path}api/kernels", {}, headers=fields)
        self.assertEqual(status, 201, content)
        kernel = json.loads(content)["id"]
        channels = f"{url.replace('http', 'ws')}api/kernels/{kernel}/channels?token=secret"
        connection = socket.create_connection(("127.0.0.1", self.daemon.port))
        with connect(channels, sock=connection, origin=Origin(origin)) as client:
            header = {"msg_id": uuid4().hex, "msg_type": "execute_request", "session": uuid4().hex, "username": "test"}
            code = {"code": "6 * 7", "silent": False, "store_history": True, "user_expressions": {}}
            message = {"header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "content": code}
            client.send(json.dumps({**message, "channel": "shell"}))
            end = time.monotonic() + _SECONDS
            while time.monotonic() < end:
                said = json.loads(client.recv(_SECONDS))
                if said["msg_type"] == "execute_result":
                    self.assertEqual(said["content"]["data"]["text/plain"], "42")
                    return
        self.fail("the kernel did not answer")


# Python's own server sends whole files only.
FILES = """
import http.server, os, re, shutil
class Files(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        asked = re.fullmatch("bytes=([0-9]+)-", self.headers["Range"] or "")
        if not asked:
            return super().do_GET()
        start, size = int(asked[1]), os.path.getsize("large")
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        self.send_header("Content-Length", str(size - start))
        self.end_headers()
        with open("large", "rb") as file:
            file.seek(start)
            shutil.copyfileobj(file, self.wfile)
http.server.ThreadingHTTPServer(("", 8000), Files).serve_forever()
"""


class DownloadTests(PreviewCase):
    """Python's file server, and a large file from it."""

    SIZE = 200 << 20

    def test_a_large_file_whole_and_resumed_where_it_was_broken_off(self) -> None:
        script = f"head -c {self.SIZE} /dev/urandom > large; exec python3 -c '{FILES}'"
        self.run_application(ensure_session_image(), ["sh", "-c", script], 8000)
        assert self.container is not None
        expected = self.lab.run(self.container, "sha256sum < /workspace/large").split()[0]
        whole = hashlib.sha256()
        self.assertEqual(self.download(whole, {}, self.SIZE), (200, self.SIZE))
        self.assertEqual(whole.hexdigest(), expected)
        resumed, half = hashlib.sha256(), self.SIZE // 2 + 1
        self.assertEqual(self.download(resumed, {}, half), (200, half))
        self.assertEqual(self.download(resumed, {"Range": f"bytes={half}-"}, self.SIZE), (206, self.SIZE - half))
        self.assertEqual(resumed.hexdigest(), expected)

    def download(self, digest: Any, fields: dict[str, str], limit: int) -> tuple[int, int]:
        """Read at most so many bytes of the file, then hang up; the status, and how many came."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=60)
        connection.request("GET", f"/previews/{self.session_id}/large", headers=fields)
        response = connection.getresponse()
        length = 0
        while length < limit and (piece := response.read(min(1 << 20, limit - length))):
            digest.update(piece)
            length += len(piece)
        connection.close()
        return response.status, length
