"""Connections that end in every way, at both sides, in every state. ``python -m tests.gateway.faults 10000``."""

# ruff: noqa: E402
from __future__ import annotations

from sandbox.net.reactor import install
from tests.gateway.stage import admit_all

install()  # By hand, too, what is tested runs on the reactor that is shipped.

import gc
import random
import resource
import socket
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater, react

from sandbox.domain.model import Destination, Preview, Target
from sandbox.gateway.bridge import Timing
from sandbox.gateway.resource import GatewayOptions, PreviewResource
from sandbox.gateway.upstream.pool import Pool
from sandbox.gateway.websocket import WebSockets
from sandbox.http.admission import STREAM
from sandbox.http.limits import Limits
from sandbox.http.site import Site
from sandbox.net.deadlines import Deadlines
from tests.gateway import stage
from tests.gateway.injection import CASES, GET, OK, Application, Case, Injection
from tests.gateway.logged import LoggedErrors
from tests.gateway.soak import sockets
from tests.http.wire import Wire, connect
from tests.waiting import until

reactor: Any = _reactor
# Nothing but what is tested ends a connection in time: who would hang until a timeout does hang here.
_LONG = 600.0
_LIMITS = Limits(head_timeout=_LONG, idle_timeout=_LONG, upload_timeout=_LONG, linger=_LONG, linger_pause=_LONG)
# But for peers that do not end a WebSocket which the other side has ended.
_TIMING = Timing(ping=0, pong=_LONG, close=3.0, grace=0.05)
# Objects that caches of bounded size may still take in after the first round.
_SLACK = 2000


class Healthy(Wire):
    """A connection to an application that always answers."""

    def dataReceived(self, data: bytes) -> None:
        super().dataReceived(data)
        while b"\r\n\r\n" in self.received:
            self.received = self.received.partition(b"\r\n\r\n")[2]
            self.send(OK)


class Gateway:
    """A gateway, faults that happen to its connections, and what was seen of them.

    :ivar injected: how many there were of which kind.
    :ivar outcomes: how often the side that was left saw what.
    :ivar failures: what was not as it has to be.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self.injected: Counter[Case] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self._errors = LoggedErrors()
        self._sockets, self._timers = sockets(), set(reactor.getDelayedCalls())
        self._pool = Pool(reactor, Deadlines(reactor, 0.1), connect_timeout=_LONG, response_timeout=_LONG)
        self._upgrades = WebSockets(reactor, self._pool, _TIMING)
        self._upgrades._deadlines = Deadlines(reactor, 0.05)
        self._resolver = stage.Resolver()
        options: Any = {"upgrades": self._upgrades, "options": GatewayOptions(continue_timeout=0.05)}
        previews = PreviewResource(reactor, b"/previews/", self._resolver, self._pool, authorize=admit_all, **options)
        self._site = Site(previews, reactor, admit=lambda request: STREAM, limits=_LIMITS)
        healthy: Any = Factory.forProtocol(Healthy)
        healthy.noisy = False
        # One that never accepts: what connects when its backlog is full waits.
        factories = (self._site, 512), (healthy, 512), (Factory(), 1)
        self._ports = [reactor.listenTCP(0, one, backlog, "127.0.0.1") for one, backlog in factories]
        self._site_port, healthy_port, self._full_port = [port.getHost().port for port in self._ports]
        self._ports[2].stopReading()
        self._queue = [socket.socket() for _ in range(4)]
        for waiting in self._queue:
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.1", self._full_port))
        self._register("healthy", healthy_port)

    def _register(self, session_id: str, port: int) -> None:
        target = Target(session_id, "t", "127.0.0.1", port)
        self._resolver.previews[session_id] = Destination(Preview(session_id=session_id, port=port), target)

    async def inject(self, numbers: range, workers: int = 24) -> None:
        """Inject a fault for each number: its kind is by turns, its details are the number's and the seed's."""
        left = list(numbers)
        probing = Deferred.fromCoroutine(self._probe(left))
        await gatherResults([Deferred.fromCoroutine(self._work(f"s{worker}", left)) for worker in range(workers)])
        await probing

    async def _work(self, session: str, numbers: list[int]) -> None:
        """Inject one fault after the other into a session."""
        application = Application()
        self._register(session, application.number)
        self._register(session + "-full", self._full_port)
        while numbers:
            number = numbers.pop()
            case = CASES[number % len(CASES)]
            dice = random.Random(f"{self._seed} {number}")
            injection = Injection(self._site_port, self._pool, application, session, dice, *case)
            try:
                self.outcomes[await injection.run()] += 1
            except Exception as error:
                self.failures.append(f"{number}: {', '.join(case)}: {error!r}")
            await injection.clear()
            self.injected[case] += 1
        await maybeDeferred(application.port.stopListening)

    async def _probe(self, numbers: list[int]) -> None:
        """Ask for another preview again and again meanwhile, each time over a new connection."""
        while numbers:
            client = await connect(self._site_port)
            try:
                self.outcomes[f"probe {(await client.ask(GET % b'healthy')).status}"] += 1
            except Exception as error:
                self.failures.append(f"a probe: {error!r}")
            client.abort()
            await deferLater(reactor, 0.02)

    async def end(self) -> dict[str, object]:
        """End it, and say what is left."""
        try:
            await until(lambda: not self._site.counters.connections, "for the clients' connections")
        finally:
            left: dict[str, object] = {"client connections": self._site.counters.connections}
            left["WebSockets"] = len(self._upgrades)
            await self._pool.close().addTimeout(20, reactor)
            for port in self._ports:
                await maybeDeferred(port.stopListening)
            for waiting in self._queue:
                waiting.close()
            self._errors.close()
        left["upstream connections"] = len(self._pool)
        left["deadlines"] = sum(map(len, (self._site.deadlines, self._pool._deadlines, self._upgrades._deadlines)))
        await until(lambda: sockets() <= self._sockets, "for the sockets")
        left["timers"] = [str(call) for call in set(reactor.getDelayedCalls()) - self._timers]
        left["errors"] = self._errors
        return left


def _memory() -> tuple[int, int]:
    """Objects that the collector knows, and KiB that are resident."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return len(gc.get_objects()), pages * resource.getpagesize() // 1024


async def _main(clock: Any, count: str = "10000", seed: str = "1") -> None:
    began = time.monotonic()
    gateway, total = Gateway(int(seed)), int(count)
    await gateway.inject(range(min(total, 10 * len(CASES))))
    objects, resident = _memory()
    await gateway.inject(range(gateway.injected.total(), total))
    grown = _memory()[0] - objects, _memory()[1] - resident
    left = await gateway.end()
    print(f"{gateway.injected.total()} faults in {time.monotonic() - began:.0f} s: {dict(gateway.outcomes)}")
    for place, name in enumerate(("fault", "side", "state")):
        kinds: Counter[str] = Counter()
        for case, number in gateway.injected.items():
            kinds[case[place]] += number
        print(f"by {name}: {dict(kinds)}")
    print(f"failures: {len(gateway.failures)}", *gateway.failures[:20], sep="\n  ")
    print(f"left: {left}; since the first {10 * len(CASES)}: {grown[0]} objects, {grown[1]} KiB")
    if gateway.failures or any(left.values()) or grown[0] > _SLACK:
        raise SystemExit(1)


if __name__ == "__main__":
    react(lambda clock, *arguments: Deferred.fromCoroutine(_main(clock, *arguments)), sys.argv[1:])
