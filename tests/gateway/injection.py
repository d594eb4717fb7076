"""One connection through the gateway that ends, and what becomes of the other one; :mod:`tests.gateway.faults`."""

from __future__ import annotations

import random
from functools import partial
from itertools import product
from typing import Any

import attrs
from twisted.internet import reactor as _reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater

from sandbox.gateway.upstream.pool import Pool
from sandbox.protocols.http1.framing import chunk
from tests.gateway import stage
from tests.gateway.test_websocket import asking, granting
from tests.gateway.wires import BINARY, CLOSE, TEXT, HalfWire, close_payload, frame
from tests.http.wire import Answer, read_answer
from tests.waiting import until

reactor: Any = _reactor
FAULTS = {"RST": "abortConnection", "FIN": "loseConnection", "half-close": "loseWriteConnection"}
SIDES = ("client", "application")
#: How an answer ends, and the minor version of the client's HTTP.
ANSWERS = {
    "answer with a length": ("length", 1),
    "answer in chunks": ("chunks", 1),
    "answer to the end": ("end", 1),
    "answer in chunks to HTTP/1.0": ("chunks", 0),
    "answer to the end to HTTP/1.0": ("end", 0),
    "answer within an upload": ("any", 1),
}
SOCKETS = ("granted", "open", "within a frame", "closing")
STATES = ("connecting", "half a head", "head sent", "upload", *ANSWERS, *SOCKETS)
Case = tuple[str, str, str]
CASES: list[Case] = [case for case in product(FAULTS, SIDES, STATES) if case[1:] != ("application", "half a head")]
KEY = b"\x12\x34\xab\xcd"
GET = b"GET /previews/%b/ HTTP/1.1\r\nHost: a\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Application(stage.Application):
    """The application of one session, whose connections an injection plays.

    :ivar at_once: what becomes of a connection as soon as it is accepted.
    """

    at_once: Any = None

    def buildProtocol(self, addr: object) -> HalfWire:
        peer = HalfWire()
        self.peers.append(peer)
        peer.on_made = self._look if self.at_once is None else partial(self.at_once, peer)
        return peer


@attrs.define(eq=False)
class Injection:
    """One connection that ends, and what becomes of the other one."""

    port: int
    pool: Pool
    application: Application
    session: str
    dice: random.Random
    fault: str
    side: str
    state: str
    _clients: list[HalfWire] = attrs.field(factory=list)

    async def run(self) -> str:
        """Bring about the state and the fault. The outcome is what the other side saw.

        :raises AssertionError: when that was wrong, or nothing.
        """
        client = await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", self.port), HalfWire())
        self._clients.append(client)
        if self.state in SOCKETS:
            outcome = await self._over_a_websocket(client)
        elif self.state == "connecting" and self.side == "application":
            self.application.at_once = self._end
            client.send(self._request() if self._maybe() else asking(b"/previews/%b/" % self.session.encode()))
            outcome = await self._answered(client, None)
        elif self.state in {"connecting", "half a head"}:
            outcome = await self._before_the_application(client)
        else:
            outcome = await self._over_http(client)
        await until(lambda: not self._carried(), "for the connection to the application to end")
        return outcome

    async def clear(self) -> None:
        """End what is left on our side."""
        wires = [*self._clients, *self.application.peers]
        for wire in wires:
            wire.abort()
        await until(lambda: all(wire.lost for wire in wires), "for our own connections")
        self.application.peers.clear()
        self.application.at_once = None

    # The states, each up to the fault.

    async def _before_the_application(self, client: HalfWire) -> str:
        self.session += "-full"
        request = self._request()
        if self.state == "connecting":
            client.send(request)
            await until(self._carried, "for the attempt to connect")
            _check(self.pool._connecting.keys() & self._carried(), "the application took the connection")
        else:
            client.send(request[: self.dice.randrange(1, 50)])
        await self._strike(client)
        return await self._left(client)

    async def _over_http(self, client: HalfWire) -> str:
        how, minor = ANSWERS.get(self.state, ("", 1))
        if again := minor and self._maybe(0.3):
            # It goes over connections that have carried a request before.
            client.send(GET % self.session.encode())
            peer, _ = await self.application.request()
            peer.send(OK)
            await client.answer()
        coded = chunk if minor and self._maybe() else bytes
        more = b""
        if "upload" in self.state:
            client.send(self._request(minor, coded) + coded(b"the first"))
            more = coded(self._piece())
        elif not how and self._maybe():
            client.send(self._request(minor, coded))
        elif not how and not again:
            client.send(asking(b"/previews/%b/" % self.session.encode()))
        else:
            client.send(b"POST /previews/%b/ HTTP/1.%d\r\nHost: a\r\n\r\n" % (self.session.encode(), minor))
        peer, _ = await self.application.request(end=b"the first" if more else b"\r\n\r\n")
        start, last, to_the_end = self._answer(how if how != "any" else self.dice.choice(["length", "chunks", "end"]))
        peer.send(start)
        if how and self._maybe(0.8):
            await client.bytes(b"\r\n\r\n")
        if self.side == "application":
            await self._strike(peer, last, client, more)
            return await self._answered(client, to_the_end)
        await self._strike(client, more, peer, last)
        await until(lambda: peer.lost, "for the application to be left")
        _check(not peer.lost.check(ConnectionDone), "the application was left without a reset")
        return await self._left(client)

    def _answer(self, how: str) -> tuple[bytes, bytes, bytes | None]:
        """An answer that is cut: its first bytes, its last ones, and its body where it may end with the connection."""
        body = self._piece() + b"."
        head = b"HTTP/1.1 200 OK\r\n"
        if not how:
            return b"", head[: self.dice.randrange(len(head))], None
        if how == "length":
            head, rest = head + b"Content-Length: %d\r\n\r\n" % len(body), body
        elif how == "chunks":
            head, rest = head + b"Transfer-Encoding: chunked\r\n\r\n", chunk(body[:5]) + chunk(body[5:]) + b"0\r\n\r\n"
        else:
            head, rest = head + b"\r\n", body
        first, second = sorted(self.dice.randrange(len(rest)) for _ in range(2))
        return head + rest[:first], rest[first:second], rest[:second] if how == "end" else None

    async def _over_a_websocket(self, client: HalfWire) -> str:
        client.send(asking(b"/previews/%b/" % self.session.encode()))
        peer, _ = await self.application.request()
        peer.send(granting())
        await client.bytes(b"\r\n\r\n")
        client.received = client.received.partition(b"\r\n\r\n")[2]
        near, far = (client, peer) if self.side == "client" else (peer, client)
        keys = {client: KEY, peer: None}
        last = words = b""
        if self.state == "open":
            for one, other in ((near, far), (far, near)):
                await self._say(one, other, frame(TEXT, self._piece(), keys[one]))
            last, words = frame(BINARY, self._piece(), keys[near]), frame(BINARY, self._piece(), keys[far])
        elif self.state == "within a frame" and self._maybe():
            last = frame(BINARY, bytes(200), keys[near])[: self.dice.randrange(1, 4)]
        elif self.state == "within a frame":
            await self._say(near, far, frame(BINARY, self._piece(), keys[near], announced=1 << 20))
        elif self.state == "closing":
            one, other = (near, far) if self._maybe() else (far, near)
            await self._say(one, other, frame(CLOSE, close_payload(1000), keys[one]))
        await self._strike(near, last, far, words)
        await until(lambda: far.ended, "for the other side's end")
        if self.fault == "RST" and self.state != "closing":
            _check(far.lost and not far.lost.check(ConnectionDone), "a reset was passed on as an end")
        # Only a reset loses what was said before, and an end that is answered with a reset because nobody listens.
        lossy = self.fault == "RST" or (self.fault == "FIN" and words)
        came = bytes(far.received)
        _check(last.startswith(came) if lossy else last == came, f"came of the last words: {came[:50]!r}")
        if self.fault == "half-close":
            await until(lambda: len(near.received) >= len(words), "for what the other side said")
            if self._maybe(0.9):
                await self._say(far, near, frame(TEXT, b"still here", keys[far]), words)
                far.transport.loseConnection()
        elif self._maybe(0.9):
            far.transport.loseConnection()
        await until(lambda: near.ended, "for the end of who ended")
        return "WebSocket reset" if far.lost and not far.lost.check(ConnectionDone) else "WebSocket ended"

    # What becomes of it.

    async def _left(self, client: HalfWire) -> str:
        """The client that has ended gets no answer that looks complete, and one that listens on is not kept."""
        if self.fault == "half-close":
            await until(lambda: client.ended, "for the end of who left")
            _check(_whole(client) is None, f"a client that left was answered: {client.received[:50]!r}")
        return "left"

    async def _answered(self, client: HalfWire, to_the_end: bytes | None) -> str:
        """The application has ended: the client's answer is whole only if the end may be its end."""
        await until(lambda: client.ended or _whole(client), "for the client's answer")
        await until(lambda: self.application.peers and self.application.peers[0].ended, "for the application's end")
        found, ordinary = _whole(client), self.fault != "RST" and to_the_end is not None
        if found is None:
            _check(self.state in ANSWERS, f"no answer, but {client.received[:50]!r}")
            # Who closes on an upload resets it, and the reset may come before the end has been read.
            _check(not ordinary or (self.fault == "FIN" and "upload" in self.state), "a whole answer was cut")
            return "cut"
        if ordinary:
            _check((found.status, found.body) == (200, to_the_end), f"a whole answer became {found.head!r}")
        else:
            _check(found.status == 502, f"it looks complete: {found.head!r}, {len(found.body)} bytes")
            _check(b'"PREVIEW_UNREACHABLE"' in found.body, f"the error is {found.body!r}")
        if found.get(b"connection") == b"close":
            await until(lambda: client.ended, "for the end after the answer")
        else:
            client.received = found.rest
            _check((await client.ask(GET % b"healthy")).status == 200, "nothing more over this connection")
        return str(found.status)

    # Details.

    def _end(self, wire: HalfWire) -> None:
        getattr(wire.transport, FAULTS[self.fault])()

    async def _strike(self, near: HalfWire, last: bytes = b"", far: HalfWire | None = None, words: bytes = b"") -> None:
        """Have one side say its last and end, while the other one speaks: before, in between or behind."""
        steps = [partial(near.send, last), partial(self._end, near)]
        if far is not None and words:
            steps.insert(self.dice.randrange(3), partial(far.send, words))
        for step in steps:
            step()
            for _ in range(self.dice.randrange(3)):
                await deferLater(reactor, 0)

    async def _say(self, one: HalfWire, other: HalfWire, words: bytes, before: bytes = b"") -> None:
        """Have one side of a WebSocket say something, and the other one take it."""
        one.send(words)
        await until(lambda: len(other.received) >= len(before + words), "for a frame")
        _check(other.received == before + words, f"came: {other.received[:50]!r}")
        other.received = b""

    def _request(self, minor: int = 1, coded: Any = bytes) -> bytes:
        """The head of an upload; its end stays away."""
        body = b"Transfer-Encoding: chunked" if coded is chunk else b"Content-Length: 1000000000"
        expecting = b"Expect: 100-continue\r\n" if minor and self._maybe() else b""
        return b"POST /previews/%b/ HTTP/1.%d\r\nHost: a\r\n%b%b\r\n\r\n" % (
            self.session.encode(), minor, expecting, body,
        )  # fmt: skip

    def _piece(self) -> bytes:
        """Some bytes: a few, or more than the gateway collects before it sends."""
        return self.dice.randbytes(4).hex().encode() * self.dice.choice([1, 100, 5000])

    def _maybe(self, chance: float = 0.5) -> bool:
        return self.dice.random() < chance

    def _carried(self) -> list[Any]:
        """The connections to the application that there are, or that there may be."""
        return self.pool._state.of_session(self.session)


def _check(right: object, what: str) -> None:
    if not right:
        raise AssertionError(what)


def _whole(client: HalfWire) -> Answer | None:
    """The answer that the client takes for complete, interim ones aside."""
    clean = client.ended and (client.lost is None or client.lost.check(ConnectionDone) is not None)
    found = read_answer(client.received, closed=clean)
    while found is not None and found.status == 100:
        found = read_answer(found.rest, closed=clean)
    return found if found is not None and found.complete else None
