"""What a run stands on: the backend, the other applications, and the proxies, each started when first needed."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from bench.backend import backend
from bench.load.attacks import SESSION
from bench.load.crowd import SESSIONS
from bench.load.hostile import Hostile
from bench.load.requests import Load, request
from bench.load.streams import Streams
from bench.load.websockets import WebSockets
from bench.measurement import Failed
from bench.peers import Peer, Place, Proxy
from bench.processes import LOAD, free_port, running

#: Descriptors that both ends of 5,000 WebSockets, and whoever is between them, need.
DESCRIPTORS = 12_000
_ROOT = Path(__file__).parents[1]


class Stage:
    """Owns every process and socket of a run; leaving the context ends them all.

    :param peers: by name.
    :param warm_up: seconds of load for a proxy that was just started, so that what is compiled late is compiled.
    :param before: checkout of an earlier commit to compare with, if any.
    """

    def __init__(self, scratch: Path, peers: Mapping[str, Peer], warm_up: float, before: Path | None = None) -> None:
        self.scratch = scratch
        self.peers = peers
        self._warm_up = warm_up
        self._before = before
        self._stack = ExitStack()
        self._running: dict[str, Proxy] = {}
        self._kept: dict[str, object] = {}

    def __enter__(self) -> Stage:
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        if most < DESCRIPTORS:
            raise Failed(f"{DESCRIPTORS} open files are needed, and this user may have {most}: see ulimit -Hn")
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def open(self, name: str, make: Callable[[], AbstractContextManager[object]]) -> object:
        """What a workload needs for several of its runs: made once, closed with the stage.

        :raises Failed: when it cannot be made, each time.
        """
        if name not in self._kept:
            try:
                self._kept[name] = self._stack.enter_context(make())
            except Failed as error:
                self._kept[name] = error
        kept = self._kept[name]
        if isinstance(kept, Failed):
            raise kept
        return kept

    @cached_property
    def streams(self) -> Streams:
        """The source of events."""
        return self._stack.enter_context(Streams())

    @cached_property
    def sockets(self) -> WebSockets:
        """The application of WebSockets."""
        return self._stack.enter_context(WebSockets())

    @cached_property
    def load(self) -> Load:
        """What sends requests."""
        return Load.build(self.scratch)

    @cached_property
    def hostile(self) -> Hostile:
        """What attacks."""
        return Hostile.build(self.scratch)

    @cached_property
    def routes(self) -> Mapping[str, int]:
        """The port of each session's application."""
        sink = free_port()
        command = [sys.executable, "-m", "bench.load.sink", str(sink)]
        self._stack.enter_context(
            running(command, core=LOAD, log=self.scratch / "sink.log", port=sink, directory=_ROOT)
        )
        answers = self._stack.enter_context(backend(self.scratch))
        return {
            "bench": answers,
            "events": self.streams.port,
            "sockets": self.sockets.port,
            "uploads": sink,
            SESSION: answers,  # until an attack brings an application of its own
            **dict.fromkeys(SESSIONS, answers),
        }

    @contextmanager
    def engine(self, count: int, events: int = 0, options: Sequence[str] = ()) -> Iterator[Path]:
        """A simulated engine with so many containers, the routes' sessions first; gives its socket.

        :param events: of how many of them it tells that they were started just now.
        :param options: further ones of :mod:`bench.engine`.
        """
        socket = self.scratch / f"engine-{count}.sock"
        command = [sys.executable, "-m", "bench.engine", *options, str(socket), str(count), str(events), *self.routes]
        with running(command, core=LOAD, log=self.scratch / "engine.log", directory=_ROOT):
            end = time.monotonic() + 30
            while not socket.exists():
                if time.monotonic() > end:
                    raise Failed("the simulated engine does not listen")
                time.sleep(0.01)
            yield socket
        socket.unlink(missing_ok=True)

    @cached_property
    def place(self) -> Place:
        """Where proxies are started."""
        socket = self._stack.enter_context(self.engine(len(self.routes)))
        return Place(self.scratch, self.routes, socket, self._before)

    @cached_property
    def direct(self) -> Proxy:
        """No proxy at all: what the load and the applications do by themselves."""
        return Proxy(0, self.routes, prefixed=False)

    def proxy(self, name: str) -> Proxy:
        """A proxy that stays for the whole run."""
        if name == "direct":
            return self.direct
        if name not in self._running:
            self._running[name] = self._stack.enter_context(self.fresh(name))
        return self._running[name]

    @contextmanager
    def fresh(self, name: str, *, warm_up: bool = True) -> Iterator[Proxy]:
        """A proxy of its own for one measurement."""
        if name == "direct":
            yield self.direct
            return
        with self.peers[name].start(self.place) as proxy:
            if warm_up and self._warm_up:
                small = request(proxy.path("bench", "/small"), proxy.headers)
                self.load.closed(proxy.port("bench"), [small], connections=32, seconds=self._warm_up)
            yield proxy
