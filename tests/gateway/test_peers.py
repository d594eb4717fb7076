"""Real WebSocket libraries and Autobahn's test suite get through the bridge what they get without it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue
from twisted.python.failure import Failure

from sandbox.domain.model import Destination
from tests.gateway.conversation import converse
from tests.gateway.test_websocket import WebSocketTestCase

pytestmark = pytest.mark.integration

#: Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, and some of every kind of compression. The
#: rest of sections 9, 12 and 13 is messages by the thousand, which say nothing more about a bridge that decodes none.
CASES = (
    *(f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 10)),
    *("9.1.1", "9.2.1", "9.5.1", "12.1.1", "12.1.5", "12.2.1"),
    *(f"13.{section}.1" for section in range(1, 8)),
)


class EchoServer(ProcessProtocol):
    """The program ``tests/gateway/echo.py``."""

    def __init__(self) -> None:
        self.said = b""
        self.port: Deferred[int] = Deferred()
        self.ended: Deferred[None] = Deferred()

    def outReceived(self, data: bytes) -> None:
        self.said += data
        if b"\n" in self.said and not self.port.called:
            self.port.callback(int(self.said))

    def processEnded(self, reason: Failure) -> None:
        self.ended.callback(None)


class AutobahnEcho(WebSocketServerProtocol):  # type: ignore[misc]
    """What Autobahn's test suite wants of a server."""

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        self.sendMessage(payload, isBinary)


class PeerTests(WebSocketTestCase):
    """An echo server as the application, and clients as real."""

    timeout = 240

    def register_port(self, port: int) -> None:
        """Make a port of this machine session ``s1``'s application."""
        found = self.resolver.previews["s1"]
        self.resolver.previews["s1"] = Destination(
            attrs.evolve(found.preview, port=port), attrs.evolve(found.target, port=port)
        )

    async def serve_websockets(self) -> None:
        """Run an echo server on PyPI's websockets."""
        server = EchoServer()
        program = str(Path(__file__).with_name("echo.py"))
        process = reactor.spawnProcess(server, sys.executable, [sys.executable, program], env=dict(os.environ))  # type: ignore[attr-defined]

        def end() -> Deferred[None]:
            process.signalProcess("KILL")
            return server.ended

        self.addCleanup(end)
        self.register_port(await server.port)

    def serve_autobahn(self) -> int:
        """Run an echo server on Autobahn; gives its port."""
        factory = WebSocketServerFactory(reactor=reactor)
        factory.protocol = AutobahnEcho
        factory.noisy = False
        factory.setProtocolOptions(
            failByDrop=False,
            closeHandshakeTimeout=0,  # A timer that is left would be this test's.
            perMessageCompressionAccept=lambda offers: next(
                (PerMessageDeflateOfferAccept(offer) for offer in offers if isinstance(offer, PerMessageDeflateOffer)),
                None,
            ),
        )
        listener = reactor.listenTCP(0, factory, interface="127.0.0.1")  # type: ignore[attr-defined]
        self.addCleanup(listener.stopListening)
        port: int = listener.getHost().port
        self.register_port(port)
        return port

    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port.getHost().port}/previews/s1/"

    async def test_pypi_s_websockets_on_both_sides(self) -> None:
        await self.serve_websockets()
        await deferToThread(converse, self.url())

    async def test_autobahn_s_cases_end_as_they_do_without_the_bridge(self) -> None:
        direct = await self.results(f"ws://127.0.0.1:{self.serve_autobahn()}/")
        bridged = await self.results(self.url())
        self.assertGreater(len(direct), 240)
        self.assertEqual(bridged, direct)
        self.assertLessEqual({behavior for behavior, _ in bridged.values()}, {"OK", "NON-STRICT", "INFORMATIONAL"})

    async def results(self, url: str) -> dict[str, tuple[str, str]]:
        """How each case ended: its behaviour, and that of its closing handshake."""
        folder = Path(self.mktemp())
        chosen = [word for case in CASES for word in ("-i", case)]
        arguments = ["-c", "from kosoku._cli import main; main()", *chosen, "-o", str(folder), url]
        output, errors, status = await getProcessOutputAndValue(sys.executable, arguments, env=dict(os.environ))
        self.assertEqual(status, 0, (output + errors).decode("utf-8", "replace")[-2000:])
        reports: dict[str, dict[str, Any]] = json.loads((folder / "index.json").read_text())
        (cases,) = reports.values()
        return {name: (case["behavior"], case["behaviorClose"]) for name, case in cases.items()}
