"""The gateway in front of a real server in a real container: busybox's httpd."""

from __future__ import annotations

import base64
import hashlib
import json

from sandbox.domain.model import Destination, Preview, Target
from tests.engine import Lab
from tests.gateway.stage import GET, GatewayCase

PORT = 8080
SIZE = 30_000_000
# A script whose fields end with CR LF, as HTTP's do: the server passes them on as they are.
COUNT = '#!/bin/sh\nprintf "Content-Type: text/plain\\r\\n\\r\\n"\nwc -c\n'


class InAContainer(GatewayCase):
    """``httpd`` serving a workspace."""

    timeout = 120

    def setUp(self) -> None:
        super().setUp()
        self.lab = Lab()
        self.addCleanup(self.lab.close)
        self.container = self.lab.container(
            network="bridge", command=["/bin/httpd", "-f", "-p", str(PORT), "-h", "/workspace"]
        )
        self.lab.run(
            self.container,
            f"cd /workspace && echo '<h1>hello</h1>' > index.html && head -c {SIZE} /dev/urandom > large.bin && "
            f"mkdir cgi-bin && echo {base64.b64encode(COUNT.encode()).decode()} | base64 -d > cgi-bin/count && "
            "chmod 755 cgi-bin/count",
        )
        inspected = self.lab.engine.inspect_container(self.container)
        address = inspected["NetworkSettings"]["Networks"]["bridge"]["IPAddress"]
        self.resolver.previews["s1"] = Destination(
            Preview(session_id="s1", port=PORT),
            Target(self.container, inspected["State"]["StartedAt"], address, PORT),
        )

    async def test_pages_refusals_ranges_and_uploads(self) -> None:
        wire = await self.wire()
        answer = await wire.ask(GET % b"/")
        self.assertEqual((answer.status, answer.body), (200, b"<h1>hello</h1>\n"))
        self.assertEqual((await wire.ask(GET % b"/nowhere")).status, 404)
        self.assertEqual(
            (await wire.ask(b"HEAD /previews/s1/ HTTP/1.1\r\nHost: a\r\n\r\n")).get(b"content-length"), b"15"
        )
        part = await wire.ask((GET % b"/index.html")[:-2] + b"Range: bytes=4-8\r\n\r\n")
        self.assertEqual((part.status, part.body), (206, b"hello"))
        body = b"x" * 3_000_000
        head = b"POST /previews/s1/cgi-bin/count HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
        self.assertEqual((await wire.ask(head + body)).body.strip(), b"3000000")

    async def test_a_large_file_arrives_whole(self) -> None:
        answer = await (await self.wire()).ask(GET % b"/large.bin")
        expected = self.lab.run(self.container, "sha256sum /workspace/large.bin").split()[0]
        self.assertEqual((len(answer.body), hashlib.sha256(answer.body).hexdigest()), (SIZE, expected))

    async def test_health(self) -> None:
        answer = await (await self.wire()).ask(GET % b"/health")
        expected = {"healthy": True, "sessionId": "s1", "port": PORT, "statusCode": 200}
        self.assertEqual(json.loads(answer.body), expected)

    async def test_a_container_that_is_killed_never_ends_an_answer(self) -> None:
        wire = await self.wire()
        wire.transport.pauseProducing()
        wire.send(GET % b"/large.bin")
        await self.eventually(lambda: len(self.pool) == 1)
        await self.pause(0.2)
        self.lab.engine.kill(self.container)
        # What the runtime's watch does when it hears of it.
        self.pool.drop_session("s1")
        wire.transport.resumeProducing()
        answer = await wire.answer()
        self.assertEqual((answer.status, answer.complete), (200, False))
        answer = await (await self.wire()).ask(GET % b"/")
        self.assertEqual((answer.status, json.loads(answer.body)["code"]), (502, "PREVIEW_UNREACHABLE"))
