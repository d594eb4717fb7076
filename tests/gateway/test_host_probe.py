"""``host: auto``: an application is asked which Host it takes (contract section 5, F4)."""

from __future__ import annotations

from typing import Any, NamedTuple

from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IListeningPort
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from sandbox.domain.errors import PreviewNotRegistered
from sandbox.domain.host_verdicts import HostMode, HostVerdicts
from sandbox.domain.model import Destination, Preview, Target
from sandbox.gateway.host_probe import HostProbe
from sandbox.gateway.hosts import PreviewHosts
from sandbox.gateway.resource import PreviewResource
from sandbox.gateway.websocket import WebSockets
from sandbox.http.admission import STREAM
from sandbox.http.routes import Route, Routes
from sandbox.protocols.hostnames import Addresses
from tests.gateway.stage import GatewayCase
from tests.gateway.test_websocket import asking
from tests.http.wire import Answer

RESET, SILENT, NOT_HTTP = 0, -1, -2


class Asked(NamedTuple):
    """A request as the application saw it."""

    path: bytes
    host: bytes


class Application(Resource):
    """A server that answers by the Host.

    :ivar answers: the status for each name, its port aside; 200 for any other.
    :ivar sockets: the same for handshakes of WebSockets.
    :ivar held: requests that wait for an answer.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.answers: dict[bytes, int] = {}
        self.sockets: dict[bytes, int] = {}
        self.asked: list[Asked] = []
        self.held: list[Any] = []

    def render(self, request: Any) -> Any:
        host = request.getHeader(b"host")
        self.asked.append(Asked(request.uri, host))
        answers = self.sockets if request.getHeader(b"upgrade") else self.answers
        status = answers.get(host.partition(b":")[0], 200)
        if status == RESET:
            request.transport.abortConnection()
        elif status == NOT_HTTP:
            request.transport.write(b"Unauthorized")
            request.transport.loseConnection()
        elif status == SILENT:
            self.held.append(request)
        else:
            request.setResponseCode(status)
            request.setHeader(b"content-length", b"2")
            return b"ok" if request.method != b"HEAD" else b""
        return NOT_DONE_YET

    def of_previews(self) -> list[Asked]:
        """What it saw, but for the questions."""
        return [one for one in self.asked if one.path != b"/"]

    def questions(self) -> list[bytes]:
        """The Hosts of the questions."""
        return [one.host for one in self.asked if one.path == b"/"]


class AutoCase(GatewayCase):
    """A preview whose host is ``auto``, of an application that judges by the Host; its daemon is ``box.example``."""

    probe_timeout = 10.0
    retry = 600.0

    def setUp(self) -> None:
        super().setUp()
        self.picky = Application()
        self.listen(0)
        self.number: int = self.served.getHost().port
        self.local = b"localhost:%d" % self.number
        self.public = b"%d-s1.preview.example:8080" % self.number
        self.by_path = b"box.example:8080"
        self.verdicts = HostVerdicts()
        self.place()
        addresses = Addresses("https://box.example:8080", "preview.example")
        self.probe = HostProbe(self.pool, reactor, addresses, timeout=self.probe_timeout, retry=self.retry)  # type: ignore[arg-type]
        self.sockets = WebSockets(reactor, self.pool)  # type: ignore[arg-type]
        previews = PreviewResource(
            reactor,  # type: ignore[arg-type]
            b"/previews/",
            self.resolver,
            self.pool,
            hosts=self.probe,
            upgrades=self.sockets,
            authorize=self.authorize,
        )
        hosts = PreviewHosts(addresses, previews, Routes([Route(b"/previews/", lambda request: STREAM, previews)]))
        self.site.resource, self.site.admit = hosts, hosts.admit

    def listen(self, port: int) -> None:
        """Begin to serve."""
        self.served: IListeningPort = reactor.listenTCP(port, Site(self.picky), interface="127.0.0.1")

    async def tearDown(self) -> None:
        await self.served.stopListening()
        self.answer_held()
        await super().tearDown()

    def answer_held(self) -> None:
        """Let what waits be answered with 200."""
        for request in self.picky.held:
            if request.channel is not None:
                request.write(b"ok")
                request.finish()
        self.picky.held.clear()

    def place(self) -> None:
        """Register the preview (again)."""
        target = Target("c1", "t1", "127.0.0.1", self.number)
        preview = Preview(session_id="s1", port=self.number, host=HostMode.AUTO)
        self.resolver.previews["s1"] = Destination(preview, target, self.verdicts)

    async def get(self, path: bytes, host: bytes | None = None) -> Answer:
        """The answer to a request, by default to the preview's own host."""
        wire = await self.wire()
        return await wire.ask(b"GET %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (path, host or self.public))

    def found(self) -> tuple[HostMode | None, HostMode | None]:
        return self.verdicts.host.found, self.verdicts.path.found


class Auto(AutoCase):
    """What follows from its answers."""

    async def test_f4_it_is_asked_once_and_told_where_browsers_find_it(self) -> None:
        for number in range(3):
            self.assertEqual((await self.get(b"/%d" % number)).status, 200)
        own = [Asked(b"/%d" % number, self.public) for number in range(3)]
        self.assertEqual(self.picky.asked, [Asked(b"/", self.public), *own])
        self.assertEqual(self.found(), (HostMode.PUBLIC, None))

    async def test_f4_refused_it_is_told_the_local_host_from_the_first_request_on(self) -> None:
        name = self.public.partition(b":")[0]
        for refusal in (400, 403, 421, RESET):
            self.picky.answers = {name: refusal}
            self.verdicts = HostVerdicts()
            self.place()
            self.picky.asked.clear()
            for number in range(3):
                self.assertEqual((await self.get(b"/%d" % number)).status, 200)
            own = [Asked(b"/%d" % number, self.local) for number in range(3)]
            self.assertEqual(self.picky.asked, [Asked(b"/", self.public), Asked(b"/", self.local), *own], refusal)
            self.assertEqual(self.found(), (HostMode.LOCAL, None))

    async def test_f4_each_form_has_a_verdict_of_its_own(self) -> None:
        self.picky.answers = {b"box.example": 403}
        for _ in range(2):
            await self.get(b"/x")
            await self.get(b"/previews/s1/y", self.by_path)
        self.assertEqual(self.picky.of_previews(), 2 * [Asked(b"/x", self.public), Asked(b"/y", self.local)])
        self.assertEqual(self.picky.questions(), [self.public, self.by_path, self.local])
        self.assertEqual(self.found(), (HostMode.PUBLIC, HostMode.LOCAL))

    async def test_the_path_form_is_asked_for_by_the_daemons_own_name_whoever_asks(self) -> None:
        await self.get(b"/previews/s1/y", b"127.0.0.1")
        self.assertEqual(self.picky.asked, [Asked(b"/", self.by_path), Asked(b"/y", b"127.0.0.1")])

    async def test_what_is_no_refusal_of_the_host(self) -> None:
        name = self.public.partition(b":")[0]
        for public, local in ((404, 200), (500, 200), (401, 200), (302, 200), (403, 403), (400, 421)):
            self.picky.answers = {name: public, b"localhost": local}
            self.verdicts = HostVerdicts()
            self.place()
            await self.get(b"/x")
            self.assertEqual(self.found(), (HostMode.PUBLIC, None), (public, local))

    async def test_where_nothing_follows_it_is_public_and_asked_again(self) -> None:
        self.picky.answers = {self.public.partition(b":")[0]: RESET, b"localhost": RESET}
        self.assertEqual((await self.get(b"/x")).status, 502)
        self.assertEqual((self.found(), self.picky.of_previews()), ((None, None), [Asked(b"/x", self.public)]))
        self.picky.answers = {self.public.partition(b":")[0]: 403}
        self.assertEqual((await self.get(b"/y")).status, 200)
        self.assertEqual(self.picky.of_previews()[1:], [Asked(b"/y", self.local)])

    async def test_requests_that_come_together_ask_once(self) -> None:
        self.picky.answers = {self.public.partition(b":")[0]: 403}
        waiting = []
        for number in range(8):
            wire = await self.wire()
            waiting.append(wire.ask(b"GET /%d HTTP/1.1\r\nHost: %b\r\n\r\n" % (number, self.public)))
        answers = await gatherResults([Deferred.fromCoroutine(one) for one in waiting])
        self.assertEqual([answer.status for answer in answers], 8 * [200])
        self.assertEqual(self.picky.questions(), [self.public, self.local])

    async def test_a_client_that_leaves_takes_no_answer_from_the_others(self) -> None:
        name = self.public.partition(b":")[0]
        self.picky.answers = {name: SILENT}
        wires = [await self.wire() for _ in range(2)]
        for wire in wires:
            wire.send(b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % self.public)
        await self.eventually(lambda: self.site.in_progress == 2 and self.picky.held)
        wires[0].abort()
        await self.eventually(lambda: self.site.counters.connections == 1)
        self.picky.answers = {}
        self.answer_held()
        self.assertEqual((await wires[1].answer()).status, 200)
        self.assertEqual(self.picky.asked, [Asked(b"/", self.public), Asked(b"/x", self.public)])

    async def test_f1_what_ended_meanwhile_is_not_carried(self) -> None:
        """Where its container was, another session's may be when the answer comes."""
        self.picky.answers = {self.public.partition(b":")[0]: SILENT}
        wire = await self.wire()
        wire.send(b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % self.public)
        await self.eventually(lambda: self.picky.held)
        self.resolver.previews["s1"] = PreviewNotRegistered("s1")
        self.pool.drop_session("s1")
        self.assertEqual((await wire.answer()).status, 404)
        self.assertEqual((self.picky.of_previews(), self.found()), ([], (None, None)))
        self.picky.held.clear()

    async def test_it_is_no_request_of_anybodys(self) -> None:
        await self.get(b"/x")
        carried = sum(sum(route.responses.values()) for route in self.site.traffic.routes.values())
        self.assertEqual((carried, len(self.picky.asked)), (1, 2))

    async def test_websockets_follow(self) -> None:
        self.picky.answers = {self.public.partition(b":")[0]: 403}
        wire = await self.wire()
        await wire.ask(asking(b"/hmr", b"Origin: https://" + self.public, host=b"Host: " + self.public))
        self.assertEqual(self.picky.asked[-1], Asked(b"/hmr", self.local))
        self.assertEqual(self.picky.questions(), [self.public, self.local])

    async def test_f4_a_socket_that_is_refused_its_origin_is_told_the_local_host_next(self) -> None:
        """As Next.js does on a domain: it takes the page's host, and closes its socket for the Origin, in words of its
        own."""
        for refusal in (403, RESET, NOT_HTTP):
            self.verdicts = HostVerdicts()
            self.place()
            self.picky.sockets = {self.public.partition(b":")[0]: refusal}
            self.picky.asked.clear()
            for path in (b"/hmr?1", b"/hmr?2", b"/hmr?3", b"/other"):
                wire = await self.wire()
                await wire.ask(asking(path, b"Origin: https://" + self.public, host=b"Host: " + self.public))
            await self.get(b"/page")
            self.assertEqual([one.host for one in self.picky.of_previews()],
                             [self.public, self.local, self.local, self.public, self.public], refusal)  # fmt: skip
            self.assertEqual((self.found()[0], self.picky.questions()), (HostMode.PUBLIC, [self.public]))

    async def test_a_socket_that_is_refused_both_is_told_the_public_host_again(self) -> None:
        self.picky.sockets = {self.public.partition(b":")[0]: 403, b"localhost": 403}
        for _ in range(3):
            await (await self.wire()).ask(asking(b"/ws", host=b"Host: " + self.public))
        self.assertEqual([one.host for one in self.picky.of_previews()], [self.public, self.local, self.public])

    async def test_sockets_that_are_remembered_are_bounded(self) -> None:
        for number in range(100):
            self.verdicts.host.refuse_socket(b"/%d" % number, False)
        self.verdicts.host.refuse_socket(b"/" + 300 * b"x", False)
        self.assertEqual(list(self.verdicts.host.local_sockets), [b"/%d" % number for number in range(84, 100)])

    async def test_what_a_registration_says_is_not_asked(self) -> None:
        for mode, host in ((HostMode.PUBLIC, self.public), (HostMode.LOCAL, self.local)):
            self.register("s1", host=mode)
            self.resolver.previews["s1"] = Destination(
                Preview(session_id="s1", port=self.number, host=mode), Target("c1", "t1", "127.0.0.1", self.number)
            )
            self.picky.asked.clear()
            await self.get(b"/x")
            self.assertEqual(self.picky.asked, [Asked(b"/x", host)])

    async def test_an_application_that_was_restarted_is_asked_again(self) -> None:
        await self.get(b"/x")
        await self.served.stopListening()
        self.pool.drop_session("s1")
        self.assertEqual((await self.get(b"/down")).status, 502)
        self.assertEqual(self.found(), (None, None))
        self.picky.answers = {self.public.partition(b":")[0]: 403}
        self.listen(self.number)
        self.assertEqual((await self.get(b"/y")).status, 200)
        self.assertEqual(self.found(), (HostMode.LOCAL, None))

    async def test_one_that_health_does_not_find_is_asked_again(self) -> None:
        await self.get(b"/x")
        await self.served.stopListening()
        await self.get(b"/.sandbox/health")
        self.assertEqual(self.found(), (None, None))
        self.listen(self.number)


class Doubt(AutoCase):
    """Another application that came without a request in between."""

    retry = 0.0

    async def test_its_refusals_make_the_daemon_ask_again(self) -> None:
        await self.get(b"/x")
        self.picky.answers = {self.public.partition(b":")[0]: 403}
        self.assertEqual((await self.get(b"/1")).status, 403)
        self.assertEqual((await self.get(b"/2")).status, 200)
        self.assertEqual(self.found(), (HostMode.LOCAL, None))

    async def test_but_not_as_long_as_it_answers(self) -> None:
        for _ in range(3):
            await self.get(b"/x")
        self.assertEqual(self.picky.questions(), [self.public])


class Refusals(AutoCase):
    """An application may refuse much, for its own reasons."""

    async def test_each_is_no_reason_to_ask(self) -> None:
        self.picky.answers = {self.public.partition(b":")[0]: 403, b"localhost": 403}
        for _ in range(3):
            self.assertEqual((await self.get(b"/x")).status, 403)
        self.assertEqual(self.picky.questions(), [self.public, self.local])


class Slow(AutoCase):
    """An application that takes its time to answer ``GET /``."""

    probe_timeout = 0.2

    async def test_the_first_request_waits_no_longer_than_that_and_no_other_waits(self) -> None:
        self.picky.answers = {self.public.partition(b":")[0]: SILENT}
        wire = await self.wire()
        wire.send(b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % self.public)
        await self.eventually(self.picky.of_previews)
        self.assertEqual(self.picky.asked, [Asked(b"/", self.public), Asked(b"/x", self.public)])
        self.picky.answers = {}
        self.assertEqual((await self.get(b"/y")).status, 200)
        self.assertEqual((self.picky.questions(), self.found()), ([self.public], (None, None)))


class SlowAndAskedAgain(Slow):
    """… is asked again behind the requests' backs."""

    retry = 0.0

    async def test_the_first_request_waits_no_longer_than_that_and_no_other_waits(self) -> None:
        self.picky.answers = {self.public.partition(b":")[0]: SILENT}
        wire = await self.wire()
        wire.send(b"GET /x HTTP/1.1\r\nHost: %b\r\n\r\n" % self.public)
        await self.eventually(self.picky.of_previews)
        self.picky.answers = {}
        self.assertEqual((await self.get(b"/y")).status, 200)
        await self.eventually(lambda: self.found()[0] is HostMode.PUBLIC)
