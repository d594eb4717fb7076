"""Mixed requests, random aborts on both sides, and then: is anything left? ``python -m tests.gateway.soak 200000``."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import attrs
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater, react

from sandbox.domain.model import Destination, Preview, Target
from sandbox.gateway.resource import GatewayOptions, PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.http.admission import STREAM
from sandbox.http.limits import Limits
from sandbox.http.site import Site
from sandbox.net.deadlines import Deadlines
from sandbox.policy.pooling import PoolLimits
from tests.gateway.logged import LoggedErrors
from tests.gateway.stage import admit_all
from tests.http.wire import Wire, connect, read_answer

reactor: Any = _reactor
LARGE = 300_000
_HEAD = b"HTTP/1.1 200 OK\r\nX-Id: %b\r\n"


class Application(Protocol):
    """An application that does what the request's path says, or something worse."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._data = b""

    def dataReceived(self, data: bytes) -> None:
        self._data += data
        while b"\r\n\r\n" in self._data:
            head, _, rest = self._data.partition(b"\r\n\r\n")
            lower = head.lower()
            if b"\r\ncontent-length: " in lower:
                length = int(lower.partition(b"\r\ncontent-length: ")[2].split(b"\r\n")[0])
                if len(rest) < length:
                    return
                rest = rest[length:]
            elif b"\r\ntransfer-encoding: chunked" in lower:
                if b"0\r\n\r\n" not in rest:
                    return
                rest = rest.partition(b"0\r\n\r\n")[2]
            self._data = rest
            self.answer(head)

    def answer(self, head: bytes) -> None:
        method, path = head.split(b" ")[:2]
        kind, _, number = path[1:].partition(b"/")
        transport: Any = self.transport
        start = _HEAD % number
        if method == b"HEAD":
            transport.write(start + b"Content-Length: 7\r\n\r\n")
        elif kind == b"length":
            transport.write(start + b"Content-Length: %d\r\n\r\n%b" % (len(number), number))
        elif kind == b"chunked":
            transport.write(start + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(number))
            later = self._dice.random() * 0.01
            reactor.callLater(later, self._write, number + b"\r\n0\r\nT: u\r\n\r\n")
        elif kind == b"close":
            transport.write(start + b"\r\n" + number)
            transport.loseConnection()
        elif kind == b"large":
            transport.write(start + b"Content-Length: %d\r\n\r\n" % (LARGE + len(number)) + b"x" * LARGE + number)
        elif kind == b"empty":
            transport.write(b"HTTP/1.1 103 Hint\r\n\r\n" + b"HTTP/1.1 204 No\r\nX-Id: %b\r\n\r\n" % number)
        elif kind == b"last":
            transport.write(start + b"Content-Length: %d\r\n\r\n%b" % (len(number), number))
            transport.loseConnection()
        elif kind == b"garbage":
            transport.write(b"SSH-2.0-nonsense\r\n")
        elif kind == b"cut":
            whole = start + b"Content-Length: 100\r\n\r\n" + b"y" * 50
            transport.write(whole[: self._dice.randrange(len(whole))])
            reactor.callLater(self._dice.random() * 0.01, self._end)
        else:
            self._end()

    def _write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def _end(self) -> None:
        transport: Any = self.transport
        transport.abortConnection() if self._dice.random() < 0.5 else transport.loseConnection()


@attrs.define(eq=False)
class Applications(Factory[Application]):
    """The application's listening side."""

    noisy = False
    dice: random.Random

    def buildProtocol(self, addr: IAddress | None) -> Application:
        return Application(self.dice)


@attrs.define
class Soak:
    """Some clients that ask, leave, and count.

    :ivar outcomes: how many requests ended how.
    :ivar wrong: answers that were another request's, or looked complete and were not.
    """

    site: Site
    pool: Pool
    port: int
    dice: random.Random
    left: int
    outcomes: Counter[str] = attrs.field(factory=Counter)
    wrong: list[str] = attrs.field(factory=list)

    async def client(self) -> None:
        """Ask until nothing is left to ask, over connections that last as long as they last."""
        wire: Wire | None = None
        while self.left > 0:
            if wire is None or wire.lost is not None:
                wire = await connect(self.port)
            self.left -= 1
            number = b"%d" % self.left
            kinds = (
                [b"length"] * 6
                + [b"chunked"] * 3
                + [b"close", b"large", b"empty", b"last", b"garbage", b"cut", b"gone"]
            )
            kind = self.dice.choice(kinds)
            method, request = self.request(kind, number)
            if self.dice.random() < 0.15:
                await self.leave(wire, request)
                wire = None
                continue
            self.send(wire, request)
            await self.take(wire, method, kind, number)
        if wire is not None and wire.lost is None:
            wire.abort()
            await wire.closed()

    def request(self, kind: bytes, number: bytes) -> tuple[bytes, bytes]:
        """A request, some of them with a body, some malformed."""
        chance = self.dice.random()
        line = b" /previews/s1/%b/%b HTTP/1.1\r\nHost: a\r\n" % (kind, number)
        if chance < 0.55:
            return b"GET", b"GET" + line + b"\r\n"
        if chance < 0.6:
            return b"HEAD", b"HEAD" + line + b"\r\n"
        size = self.dice.choice([1, 100, 70_000])
        if chance < 0.8:
            return b"POST", b"POST" + line + b"Content-Length: %d\r\n\r\n" % size + b"z" * size
        if chance < 0.95:
            return b"POST", b"POST" + line + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (
                size,
                b"z" * size,
            )
        return b"BAD", b"GET" + line + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"

    def send(self, wire: Wire, request: bytes) -> None:
        """All of it, in one piece or in two."""
        place = self.dice.randrange(len(request)) if self.dice.random() < 0.3 else 0
        wire.send(request[:place])
        if place:
            reactor.callLater(0, wire.send, request[place:])
        else:
            wire.send(request)

    async def leave(self, wire: Wire, request: bytes) -> None:
        """Send some of a request, maybe wait a moment, and be gone."""
        wire.send(request[: self.dice.randrange(len(request) + 1)])
        await deferLater(reactor, self.dice.random() * 0.02)
        wire.abort() if self.dice.random() < 0.5 else wire.transport.loseConnection()  # type: ignore[union-attr]
        await wire.closed()
        self.outcomes["left"] += 1

    async def take(self, wire: Wire, method: bytes, kind: bytes, number: bytes) -> None:
        """Read the answer, interim ones aside, and judge it."""
        while True:
            found = await self.whole(wire, method)
            if found is None:
                self.outcomes["broken off"] += 1
                return
            if found.status != 103:
                break
        self.outcomes[str(found.status)] += 1
        ids = found.all(b"x-id")
        if ids and ids != [number]:
            self.wrong.append(f"{number!r} got {ids!r}")
        if found.status == 200 and kind in {b"cut", b"gone"} and found.complete and method != b"HEAD":
            self.wrong.append(f"{number!r} was cut and looks complete")
        if found.status == 200 and found.complete and method not in {b"HEAD"} and not found.body.endswith(number):
            self.wrong.append(f"{number!r} got {found.body[-20:]!r}")
        if found.get(b"connection") == b"close" and wire.lost is None:
            assert wire.transport is not None
            wire.transport.loseConnection()
            await wire.closed()

    async def whole(self, wire: Wire, method: bytes) -> Any:
        """The next answer; ``None`` when the connection ended without a whole head, or within a body."""

        def look() -> Any:
            answer = read_answer(wire.received, closed=wire.lost is not None, head_only=method == b"HEAD")
            if answer is None and wire.lost is not None:
                return ()
            return answer

        answer: Any = await wire.until(look, timeout=60)
        if not answer or not answer.complete:
            return None
        wire.received = answer.rest
        return answer


class Resolver:
    """One session."""

    def __init__(self, port: int) -> None:
        self._found = Destination(Preview(session_id="s1", port=port), Target("c", "t", "127.0.0.1", port))

    def resolve(self, session_id: str) -> Destination:
        """See :class:`sandbox.gateway.interfaces.Resolver`."""
        return self._found


async def soak(count: int, seed: int = 1, clients: int = 48) -> tuple[Soak, dict[str, object]]:
    """Ask ``count`` requests; the second answer says what is left of it."""
    errors = LoggedErrors()
    before = sockets()
    dice = random.Random(seed)
    application = reactor.listenTCP(0, Applications(dice), interface="127.0.0.1", backlog=512)
    pool = Pool(reactor, Deadlines(reactor, 0.1), limits=PoolLimits(open=clients), response_timeout=20)
    options = GatewayOptions(continue_timeout=0.1)
    resolver = Resolver(application.getHost().port)
    resource = PreviewResource(reactor, b"/previews/", resolver, pool, authorize=admit_all, options=options)
    limits = Limits(linger_pause=0.5, linger=1.0)
    site = Site(resource, reactor, admit=lambda request: STREAM, limits=limits)
    port = reactor.listenTCP(0, site, interface="127.0.0.1", backlog=512)
    run = Soak(site, pool, port.getHost().port, dice, count)
    try:
        await gatherResults([Deferred.fromCoroutine(run.client()) for _ in range(clients)], consumeErrors=True)
        await _until(lambda: not site.counters.connections)
        left = {"requests under way": pool_busy(pool), "client connections": site.counters.connections}
        await pool.close().addTimeout(20, reactor)
    finally:
        await port.stopListening()
        await application.stopListening()
        errors.close()
    await _until(lambda: sockets() <= before)
    left["upstream connections"] = len(pool)
    left["sockets"] = len(sockets() - before)
    left["deadlines"] = len(site.deadlines)
    left["errors"] = errors
    return run, left


def sockets() -> set[str]:
    """This process's sockets, as the kernel names them."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        # The descriptor of the listing itself is gone by now.
        with contextlib.suppress(FileNotFoundError):
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return {name for name in found if name.startswith("socket:")}


def pool_busy(pool: Pool) -> int:
    """Connections that still carry something."""
    return sum(upstream._exchange is not None for upstream in pool._open)


async def _until(condition: Callable[[], object]) -> None:
    for _ in range(2000):
        if condition():
            return
        await deferLater(reactor, 0.01)


async def _main(clock: Any, count: str = "5000", seed: str = "1") -> None:
    began = time.monotonic()
    run, left = await soak(int(count), int(seed))
    print(f"{count} requests in {time.monotonic() - began:.0f} s: {dict(run.outcomes)}")
    print(f"wrong answers: {run.wrong[:10]}")
    print(f"left: {left}")
    if run.wrong or any(left.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    react(lambda clock, *arguments: Deferred.fromCoroutine(_main(clock, *arguments)), sys.argv[1:])
