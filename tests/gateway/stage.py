"""The gateway between raw sockets: a site with previews, applications that a test plays byte for byte, clients too."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IAddress, IListeningPort
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase
from twisted.web.resource import Resource

from sandbox.domain.errors import PreviewNotRegistered
from sandbox.domain.host_verdicts import HostMode
from sandbox.domain.model import Destination, Preview, Target
from sandbox.gateway.fallback import Fallback
from sandbox.gateway.interfaces import Admitted
from sandbox.gateway.resource import GatewayOptions, PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.http.admission import STREAM
from sandbox.http.limits import Limits
from sandbox.http.request import Request
from sandbox.http.site import Site
from sandbox.net.deadlines import Deadlines
from sandbox.policy.pooling import PoolLimits
from tests.http.wire import Answer, Wire, connect
from tests.waiting import PATIENCE, until


def admit_all(request: Request, session_id: str, prefix: bytes) -> Admitted:
    """Access control for previews that everybody may see."""
    return Admitted(request.section, None, [], [], None)


GET = b"GET /previews/s1%b HTTP/1.1\r\nHost: public.example\r\n\r\n"


class Application(Factory[Wire]):
    """A server whose connections a test plays by hand.

    :ivar peers: every connection that was accepted, in order.
    """

    noisy = False

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.peers: list[Wire] = []
        self._waiting: list[tuple[int, Deferred[Wire]]] = []
        self.port: IListeningPort = reactor.listenTCP(0, self, interface=address)
        self.number: int = self.port.getHost().port

    def buildProtocol(self, addr: IAddress | None) -> Wire:
        peer = Wire()
        self.peers.append(peer)
        peer.on_made = self._look
        return peer

    def _look(self) -> None:
        for item in list(self._waiting):
            if len(self.peers) > item[0]:
                self._waiting.remove(item)
                item[1].callback(self.peers[item[0]])

    def peer(self, index: int = 0) -> Deferred[Wire]:
        """The connection of this number, when it is there."""
        waiting: Deferred[Wire] = Deferred()
        self._waiting.append((index, waiting))
        self._look()
        return waiting.addTimeout(PATIENCE, reactor)

    async def request(self, index: int = 0, end: bytes = b"\r\n\r\n") -> tuple[Wire, bytes]:
        """Wait for bytes up to ``end`` on a connection and take them."""
        peer = await self.peer(index)
        await peer.bytes(end)
        request, peer.received = bytes(peer.received), b""
        return peer, request


class Resolver:
    """Says where previews are, now or when the test lets it."""

    def __init__(self) -> None:
        self.previews: dict[str, Any] = {}

    def resolve(self, session_id: str) -> Any:
        """See :class:`sandbox.gateway.interfaces.Resolver`."""
        found = self.previews.get(session_id)
        if found is None:
            raise PreviewNotRegistered(session_id)
        if isinstance(found, Exception):
            raise found
        return found


class GatewayCase(TestCase):
    """A gateway at ``self.site``, an application at ``self.application``, registered as session ``s1``."""

    timeout = 240
    clock: Any = reactor
    limits = Limits()
    pool_limits = PoolLimits()
    connect_timeout = 5.0
    response_timeout = 120.0
    options = GatewayOptions(continue_timeout=5.0)
    authorize: Any = staticmethod(admit_all)
    upgrades: Any = None
    referer_fallback = True

    def setUp(self) -> None:
        self.resolver = Resolver()
        self.application = Application()
        self.register()
        self.deadlines = Deadlines(self.clock, 0.05)
        self.pool = Pool(
            reactor,
            self.deadlines,
            limits=self.pool_limits,
            connect_timeout=self.connect_timeout,
            response_timeout=self.response_timeout,
        )
        arguments: Any = {"upgrades": self.upgrades, "options": self.options}
        self.resource = PreviewResource(
            self.clock, b"/previews/", self.resolver, self.pool, authorize=self.authorize, **arguments
        )
        twin = PreviewResource(
            self.clock,
            b"/internal-previews/proxy/",
            self.resolver,
            self.pool,
            authorize=admit_all,
            public_health=False,
            **arguments,
        )
        root = Resource()
        root.putChild(b"previews", self.resource)
        internal = Resource()
        internal.putChild(b"proxy", twin)
        root.putChild(b"internal-previews", internal)
        fallback = Fallback(enabled=self.referer_fallback)
        root.getChild = lambda path, request: fallback  # type: ignore[method-assign]
        self.site = Site(root, self.clock, admit=lambda request: STREAM, limits=self.limits)
        self.site.deadlines = Deadlines(self.clock, 0.05)
        self.port = reactor.listenTCP(0, self.site, interface="127.0.0.1")
        self.wires: list[Wire] = []

    async def tearDown(self) -> None:
        """Nothing is left: no connection, no timer, no logged error."""
        await self.port.stopListening()
        await maybeDeferred(self.application.port.stopListening)
        for wire in [*self.wires, *self.application.peers]:
            wire.abort()
        await self.eventually(lambda: self.site.counters.connections == 0)
        await self.pool.close().addTimeout(PATIENCE, reactor)
        await DeferredList([Deferred.fromCoroutine(peer.closed()) for peer in self.application.peers])
        self.assertEqual((len(self.pool), self.pool.idle, len(self.deadlines)), (0, 0, 0))
        self.assertEqual(len(self.site.deadlines), 0)

    def register(self, session_id: str = "s1", container: str = "c1", **options: Any) -> None:
        """Register the application as a session's preview, by default as one that is told that it is local."""
        port = self.application.number
        options.setdefault("host", HostMode.LOCAL)
        self.resolver.previews[session_id] = Destination(
            Preview(session_id=session_id, port=port, **options),
            Target(container, "t1", "127.0.0.1", port),
        )

    async def pause(self, seconds: float) -> None:
        """Let the reactor turn for a while."""
        paused: Deferred[None] = Deferred()
        reactor.callLater(seconds, paused.callback, None)
        await paused

    async def eventually(self, condition: Any) -> None:
        """Wait until it holds."""
        await until(condition)

    async def wire(self) -> Wire:
        """A new client connection."""
        wire = await connect(self.port.getHost().port)
        self.wires.append(wire)
        return wire

    async def asked_again(self) -> Wire:
        """A client whose request goes over a connection to the application that has carried one before."""
        wire = await self.wire()
        wire.send(GET % b"/1")
        peer, _ = await self.application.request()
        peer.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        await wire.answer()
        wire.send(GET % b"/2")
        return wire

    async def exchange(self, request: bytes, response: bytes) -> tuple[bytes, Answer]:
        """One request on a connection of its own, and its answer: what the application saw, and what the client did.

        The application closes its connection when the answer is sent.
        """
        wire = await self.wire()
        index = len(self.application.peers)
        wire.send(request)
        peer, seen = await self.application.request(index)
        peer.send(response)
        peer.transport.loseConnection()
        answer = await wire.answer(head_only=request.startswith(b"HEAD "))
        return seen, answer


def fields_of(request: bytes) -> list[tuple[bytes, bytes]]:
    """The fields of a request head as it came."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
    return [(name, value.strip()) for name, _, value in (line.partition(b":") for line in lines)]


def values(request: bytes, name: bytes) -> list[bytes]:
    """Every value of a request's field."""
    return [value for field, value in fields_of(request) if field.lower() == name.lower()]
