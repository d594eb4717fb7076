"""``sandbox.runtimes.docker.events`` and ``informer``: what a stream may do to us, by an engine that is played."""

from __future__ import annotations

import json
import os
import tempfile
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.unix import Client
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import TestCase
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

from sandbox.domain.errors import EngineUnavailable, Overloaded
from sandbox.domain.model import Container, ContainerState, ContainerSummary
from sandbox.runtimes.docker.events import MESSAGE_LIMIT, EngineEvents, StreamGarbled
from sandbox.runtimes.docker.informer import Informer
from sandbox.runtimes.docker.inspection import INSTANCE_LABEL, SessionLabels
from sandbox.scheduling.scheduler import Scheduler
from tests.waiting import pause, until

LABEL = "sandbox.session.id"


def message(action: str, container_id: str = "c", session_id: str = "s", **attributes: str) -> bytes:
    """A line of the stream."""
    return (
        json.dumps(
            {
                "Type": "container",
                "Action": action,
                "Actor": {"ID": container_id, "Attributes": {LABEL: session_id, **attributes}},
                "timeNano": 1_795_382_941_018_221_424,
            }
        ).encode()
        + b"\n"
    )


class PlayedEngine(Resource):
    """The two paths of an engine's API that are asked on the reactor.

    :ivar streams: the open event streams.
    :ivar queries: the query of each.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()
        self.status = 200
        self.silent = False
        self.date = b"Sun, 22 Nov 2026 21:29:06 GMT"
        self.streams: list[Request] = []
        self.queries: list[dict[bytes, list[bytes]]] = []

    def render_GET(self, request: Request) -> Any:
        """Answer, or not."""
        if self.silent:
            return NOT_DONE_YET
        request.setResponseCode(self.status)
        request.setHeader(b"date", self.date)
        if request.path == b"/_ping":
            return b"OK"
        assert request.path == b"/events", request.path
        self.queries.append(request.args)
        self.streams.append(request)
        request.notifyFinish().addBoth(lambda _: self.streams.remove(request))
        request.write(b"")
        return NOT_DONE_YET

    def send(self, data: bytes) -> None:
        """Say something on the newest stream."""
        self.streams[-1].write(data)

    def hang_up(self) -> None:
        """End the newest stream."""
        self.streams[-1].transport.abortConnection()


class Containers:
    """What the informer asks of the engine beside its events.

    :ivar truth: containers by id.
    :ivar refused: answers that fail from now on.
    """

    def __init__(self) -> None:
        self.truth: dict[str, Container] = {}
        self.refused = 0
        self.inspected: list[str] = []
        self.held: list[Deferred[None]] | None = None

    def summaries(self) -> Deferred[list[ContainerSummary]]:
        """As ``Lookup.summaries``."""
        found: list[ContainerSummary] = list(self.truth.values())
        return deferLater(reactor, 0, lambda: found)

    async def _inspect(self, container_id: str) -> Container | None:
        self.inspected.append(container_id)
        found = self.truth.get(container_id)
        if self.held is not None:
            self.held.append(Deferred())
            await self.held[-1]
        if self.refused:
            self.refused -= 1
            raise Overloaded("busy")
        return found

    def inspect(self, container_id: str) -> Deferred[Container | None]:
        """As ``Lookup.inspect``."""
        return Deferred.fromCoroutine(self._inspect(container_id))

    def put(self, container_id: str = "c", state: ContainerState = ContainerState.RUNNING) -> Container:
        """Have the engine describe a container so."""
        address = "198.18.0.1" if state is ContainerState.RUNNING else None
        self.truth[container_id] = Container(
            id=container_id, session_id="s", state=state, image="i", address=address, created_at=container_id
        )
        return self.truth[container_id]


class PlayedTestCase(TestCase):
    """An engine that listens on a Unix socket."""

    timeout = 60

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="engine-")
        self.addCleanup(os.rmdir, directory)
        self.engine = PlayedEngine()
        port = reactor.listenUNIX(f"{directory}/socket", Site(self.engine))
        self.addCleanup(port.stopListening)
        self.url = f"unix://{directory}/socket"
        self.events = EngineEvents(reactor, self.url, timeout=1)


class EngineEventsTests(PlayedTestCase):
    """Signs of life, and one stream."""

    async def read(self) -> tuple[list[Any], Any]:
        """A stream, and what it said."""
        heard: list[Any] = []
        reading = await self.events.stream({"type": ["container"]}, "1.5", heard.append)
        self.addCleanup(lambda: reading.closed)
        self.addCleanup(reading.stop)
        await until(lambda: self.engine.streams)
        return heard, reading

    async def test_ping_tells_the_engines_clock(self) -> None:
        self.assertEqual(await self.events.ping(), 1795382946.0)

    async def test_without_a_date_all_that_the_engine_keeps_is_asked_for(self) -> None:
        for date in (b"", b"yesterday", b"\xff"):
            self.engine.date = date
            self.assertEqual(await self.events.ping(), 1.0)

    async def test_an_engine_that_answers_with_an_error_gives_no_sign_of_life(self) -> None:
        self.engine.status = 500
        with self.assertRaises(EngineUnavailable):
            await self.events.ping()
        with self.assertRaises(EngineUnavailable):
            await self.events.stream({}, "0", print)

    async def test_an_engine_that_says_nothing_gives_no_sign_of_life(self) -> None:
        self.engine.silent = True
        with self.assertRaises(EngineUnavailable):
            await self.events.ping()
        with self.assertRaises(EngineUnavailable):
            await self.events.stream({}, "0", print)

    async def test_no_engine(self) -> None:
        for url in ("unix:///nowhere/socket", "tcp://127.0.0.1:1", "tcp://[::1]:1/"):
            with self.assertRaises(EngineUnavailable):
                await EngineEvents(reactor, url, timeout=5).ping()

    async def test_over_tcp(self) -> None:
        port = reactor.listenTCP(0, Site(self.engine), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        url = f"tcp://127.0.0.1:{port.getHost().port}"
        self.assertEqual(await EngineEvents(reactor, url, timeout=5).ping(), 1795382946.0)

    async def test_filters_and_since_are_asked_for(self) -> None:
        await self.read()
        query = self.engine.queries[0]
        self.assertEqual(json.loads(query[b"filters"][0]), {"type": ["container"]})
        self.assertEqual(query[b"since"], [b"1.5"])

    async def test_messages_however_they_are_cut(self) -> None:
        heard, _ = await self.read()
        for byte in message("die") + message("start"):
            self.engine.send(bytes([byte]))
        await until(lambda: len(heard) == 2)
        self.assertEqual([one["Action"] for one in heard], ["die", "start"])
        self.engine.send(message("die") * 3 + message("start")[:10])
        await until(lambda: len(heard) == 5)
        self.engine.send(message("start")[10:])
        await until(lambda: len(heard) == 6)

    async def test_the_engine_ends_it(self) -> None:
        _, reading = await self.read()
        self.engine.hang_up()
        self.assertIsNone(await reading.ended)

    async def test_we_end_it(self) -> None:
        _, reading = await self.read()
        reading.stop()
        self.assertIsNone(await reading.ended)
        await until(lambda: not self.engine.streams)

    async def test_what_is_no_message_ends_it(self) -> None:
        for garbage in (b"{]\n", b'"\xff"\n', b"[" * 100_000 + b"\n"):
            _, reading = await self.read()
            self.engine.send(garbage)
            with self.assertRaises(StreamGarbled):
                await reading.ended

    async def test_a_message_that_does_not_end_ends_it(self) -> None:
        heard, reading = await self.read()
        self.engine.send(b" " * (MESSAGE_LIMIT + 1))
        with self.assertRaises(StreamGarbled):
            await reading.ended
        self.assertEqual(heard, [])


class FollowerTests(PlayedTestCase):
    """The stream, the stock and the inspections together."""

    def setUp(self) -> None:
        super().setUp()
        self.source = Containers()
        self.heard: list[tuple[str, Container | None]] = []
        self.ended: list[str] = []
        self.informer = self.make()
        self.informer.watch(lambda session_id, container: self.heard.append((session_id, container)))
        # A sign of life may be on its way when a test ends.
        self.addCleanup(until, lambda: not any(isinstance(one, Client) for one in reactor.getReaders()))
        self.addCleanup(self.informer.close)

    def make(self) -> Informer:
        """A informer of the played engine."""
        return Informer(
            reactor,
            Scheduler(reactor),
            self.events,
            self.source,
            labels=SessionLabels(LABEL, "0123456789ab"),
            ended=self.ended.append,
            inspections=2,
            heartbeat=0.3,
            retry_max=0.2,
        )

    async def shows(self, container: Container | None) -> None:
        """Wait until the picture is this."""
        await until(lambda: self.informer.cached("s") == container)

    async def test_stock_is_taken_after_the_stream_was_opened(self) -> None:
        container = self.source.put()
        await self.informer.open()
        self.assertEqual(self.informer.cached("s"), container)
        # A second before the engine's own clock said it was when we asked.
        self.assertEqual(self.engine.queries[0][b"since"], [b"1795382945.000000000"])

    async def test_what_ends_a_container_is_told_at_once_and_nothing_is_shown_until_it_was_inspected(self) -> None:
        self.source.put()
        await self.informer.open()
        self.source.held = []
        stopped = self.source.put(state=ContainerState.EXITED)
        self.heard.clear()
        self.engine.send(message("die"))
        await until(lambda: self.heard)
        self.assertEqual(self.heard, [("s", stopped)])
        self.assertEqual(self.ended, ["c"])
        self.assertIsNone(self.informer.cached("s"))
        await until(lambda: self.source.held)
        self.source.held.pop().callback(None)
        await self.shows(stopped)

    async def test_an_inspection_that_an_event_overtook_is_made_again(self) -> None:
        self.source.put()
        await self.informer.open()
        self.source.held = []
        self.engine.send(message("unpause"))
        await until(lambda: self.source.held)
        stopped = self.source.put(state=ContainerState.EXITED)
        self.engine.send(message("die"))
        await until(lambda: self.ended)
        self.source.held.pop().callback(None)
        await until(lambda: self.source.held)
        self.assertIsNone(self.informer.cached("s"), "what the first one found was of before")
        self.source.held.pop().callback(None)
        await self.shows(stopped)

    async def test_a_storm_of_events_is_looked_into_once_more_only(self) -> None:
        container = self.source.put()
        await self.informer.open()
        self.source.held = []
        self.engine.send(message("rename") * 500)
        await until(lambda: self.source.held)
        self.engine.send(message("rename") * 500 + message("die"))
        await until(lambda: self.ended)
        self.source.held.pop().callback(None)
        await until(lambda: self.source.held)
        self.source.held.pop().callback(None)
        await self.shows(container)
        self.assertEqual(len(self.source.inspected), 3, "at the start, for the first, and for all the others")

    async def test_f43_a_container_that_lacks_memory_in_a_loop_costs_one_line_and_no_inspection(self) -> None:
        container = self.source.put()
        await self.informer.open()
        logged: list[Any] = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        self.heard.clear()
        self.engine.send(message("oom") * 500)
        await until(lambda: self.informer.counts.events == 500)
        self.assertEqual(self.informer.cached("s"), container)
        self.assertEqual((self.source.inspected, self.heard), (["c"], []))
        self.assertEqual([event["session"] for event in logged if "out of memory" in event["log_format"]], ["s"])

    async def test_f2_another_installations_container_is_not_looked_at(self) -> None:
        container = self.source.put()
        await self.informer.open()
        self.engine.send(message("start", "d", **{INSTANCE_LABEL: "ba9876543210"}))
        await until(lambda: self.informer.counts.events == 1)
        self.assertEqual((self.source.inspected, self.informer.cached("s")), (["c"], container))

    async def test_an_inspection_that_fails_is_made_again(self) -> None:
        container = self.source.put()
        await self.informer.open()
        self.source.refused = 1
        self.engine.send(message("rename"))
        await until(lambda: self.source.refused == 0)
        self.assertIsNone(self.informer.cached("s"))
        await self.shows(container)

    async def test_a_container_that_the_engine_cannot_describe_keeps_no_other_waiting(self) -> None:
        container = self.source.put()
        stuck = attrs.evolve(container, id="stuck", session_id="t")
        self.source.truth["stuck"] = stuck
        self.source.held = []
        opening = self.informer.open()
        await until(lambda: len(self.source.held or ()) == 2)
        answers, self.source.held = self.source.held, None
        answers[self.source.inspected.index("c")].callback(None)
        await opening
        self.assertEqual((self.informer.cached("s"), self.informer.cached("t")), (container, None))
        answers[self.source.inspected.index("stuck")].callback(None)
        await until(lambda: self.informer.cached("t") == stuck)

    async def test_a_stream_that_ends_is_resumed_where_it_ended(self) -> None:
        container = self.source.put()
        await self.informer.open()
        # Before the engine's clock: the resumed stream begins with the last event that was seen.
        event = json.loads(message("rename"))
        event["timeNano"] = 1_795_382_940_000_000_007
        self.engine.send(json.dumps(event).encode() + b"\n")
        await until(lambda: len(self.source.inspected) == 2)
        returned: list[None] = []
        self.informer.on_return(lambda: returned.append(None))
        self.engine.hang_up()
        await until(lambda: returned)
        await self.shows(container)
        self.assertEqual(self.engine.queries[1][b"since"], [b"1795382940.000000007"])

    async def test_an_engine_whose_clock_went_back_is_not_asked_for_the_future(self) -> None:
        self.source.put()
        await self.informer.open()
        self.engine.send(message("rename"))
        await until(lambda: len(self.source.inspected) == 2)
        self.engine.date = b"Sun, 22 Nov 2026 20:00:00 GMT"
        self.engine.hang_up()
        await until(lambda: len(self.engine.queries) == 2)
        self.assertEqual(self.engine.queries[1][b"since"], [b"1795377599.000000000"])

    async def test_it_closes_whatever_it_is_waiting_for(self) -> None:
        self.source.put()
        for silent, seconds in ((True, 0.02), *((False, step * 0.0005) for step in range(20))):
            self.engine.silent = silent
            informer = self.make()
            opened = informer.open()
            await deferLater(reactor, seconds)
            await informer.close()
            await opened

    async def test_it_closes_while_it_lets_go_of_a_stream(self) -> None:
        self.source.put()
        await self.informer.open()
        self.engine.hang_up()
        await until(lambda: self.informer.cached("s") is None)
        await self.informer.close()

    async def test_after_garbage_the_picture_is_taken_anew(self) -> None:
        self.source.put()
        await self.informer.open()
        stopped = self.source.put(state=ContainerState.EXITED)
        self.engine.send(b'{"Type": "container", "Action": "die"}\n')
        await until(lambda: len(self.engine.queries) == 2)
        await self.shows(stopped)

    async def test_without_signs_of_life_nothing_is_believed(self) -> None:
        container = self.source.put()
        await self.informer.open()
        self.engine.silent = True
        await until(lambda: self.informer.cached("s") is None)
        self.engine.silent = False
        await self.shows(container)

    async def test_network_events_name_the_container_only(self) -> None:
        self.source.put()
        await self.informer.open()
        event = {
            "Type": "network",
            "Action": "disconnect",
            "Actor": {"ID": "n", "Attributes": {"container": "c", "name": "bridge"}},
            "timeNano": 1,
        }
        self.source.held = []
        self.heard.clear()
        self.engine.send(json.dumps(event).encode() + b"\n")
        await until(lambda: self.heard)
        ((_, told),) = self.heard
        assert told is not None
        self.assertIsNone(told.address)
        self.assertIsNone(self.informer.cached("s"))
        await until(lambda: self.source.held)
        self.source.held.pop().callback(None)
        await until(lambda: self.informer.cached("s"))

    async def test_listing_while_containers_come_and_go(self) -> None:
        first = self.source.put()
        listing: Deferred[Any] = Deferred()
        self.source.summaries = lambda: listing  # type: ignore[method-assign]
        opening = self.informer.open()
        await until(lambda: self.engine.streams)
        second = self.source.put("d")
        self.engine.send(message("create", "d"))
        del self.source.truth["c"]
        self.engine.send(message("destroy", "c"))
        await until(lambda: "d" in self.source.inspected)
        listing.callback([first])
        await opening
        self.assertEqual(self.informer.cached("s"), second)

    async def test_several_containers_of_a_session_are_warned_of_once(self) -> None:
        logged: list[Any] = []
        globalLogPublisher.addObserver(logged.append)
        self.addCleanup(globalLogPublisher.removeObserver, logged.append)
        self.source.put("c")
        newest = self.source.put("d")
        await self.informer.open()
        self.assertEqual(self.informer.cached("s"), newest)
        self.engine.send(message("rename") * 3)
        await until(lambda: len(self.source.inspected) > 2)
        await self.shows(newest)
        warnings = [event for event in logged if "carry session" in event["log_format"]]
        self.assertEqual([(event["count"], event["container"]) for event in warnings], [(2, "d")])

    async def test_closing_while_everything_is_under_way(self) -> None:
        self.source.put()
        self.source.held = []
        opening = self.informer.open()
        await until(lambda: self.source.held)
        await self.informer.close()
        self.assertIsNone(await opening)
        self.source.held.pop().callback(None)
        await pause(0.05)
        self.assertIsNone(self.informer.cached("s"))
        await until(lambda: not self.engine.streams)
