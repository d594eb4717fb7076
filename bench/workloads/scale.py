"""What much of something costs: connections, sessions, registrations: :data:`SCALE`."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from bench.load.requests import request
from bench.measurement import Failed, Metric, Scale, Workload
from bench.peers import Place, Proxy
from bench.peers.gateway import daemon, register
from bench.processes import processor_seconds, resident
from bench.stage import Stage

_KIB = 1024
_SESSIONS = 1000


def _connect(proxy: Proxy, stack: ExitStack) -> None:
    """A client's connection on which one request was answered."""
    connection = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port("bench")), timeout=20))
    connection.sendall(request(proxy.path("bench", "/small"), proxy.headers))
    while not connection.recv(65536).endswith(b"0123456789"):
        pass


def _idle(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    connections = scale.size(2000, 200)
    with stage.fresh(subject) as proxy, ExitStack() as stack:
        for _ in range(50):
            _connect(proxy, stack)
        before = resident(proxy.pid)
        for _ in range(connections):
            _connect(proxy, stack)
        return {"memory": (resident(proxy.pid) - before) / connections / _KIB}


@contextmanager
def _populated(stage: Stage, count: int) -> Iterator[Proxy]:
    """A daemon whose engine has so many sessions more than the routes, all of which previews lead to the backend."""
    routes = dict.fromkeys((f"session-{number}" for number in range(count)), stage.routes["bench"])
    with stage.engine(count + len(stage.routes)) as engine:
        place = Place(stage.scratch, routes, engine)
        with daemon(place, {}) as (pid, port, _):
            register(port, routes)
            yield Proxy.single(pid, port, place)


def _throughput(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    count = scale.size(_SESSIONS, 100)
    proxy = cast(Proxy, stage.open("populated", lambda: _populated(stage, count)))
    used = min(_number(subject), count)
    requests = [request(proxy.path(f"session-{number}", "/small")) for number in range(used)]
    before = processor_seconds(proxy.pid)
    seen = stage.load.closed(proxy.port("session-0"), requests, connections=32, seconds=scale.seconds)
    served = len(seen.latencies)
    return {"rate": served / seen.seconds, "cost": (processor_seconds(proxy.pid) - before) / served * 1e6}


def _number(subject: str) -> int:
    """How many of something a subject has.

    >>> _number("1,000 sessions")
    1000
    """
    return int(subject.split(maxsplit=1)[0].replace(",", ""))


def counts(pid: int, file: Path) -> Mapping[str, int]:
    """What a daemon that was started with ``BENCH_COUNTS`` holds.

    :raises Failed: when it does not say.
    """
    file.unlink(missing_ok=True)
    os.kill(pid, signal.SIGUSR2)
    end = time.monotonic() + 20
    while not file.exists():
        if time.monotonic() > end:
            raise Failed("the daemon does not count")
        time.sleep(0.01)
    found: Mapping[str, int] = json.loads(file.read_text())
    return found


def _memory(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    count, file = scale.size(10_000, 200), stage.scratch / "counts"
    routes = dict.fromkeys((f"session-{number}" for number in range(count)), stage.routes["bench"])
    # Comparing the store with 10,000 containers takes long, and would happen each minute.
    settings = {"BENCH_COUNTS": str(file), "BENCH_TRACE": "1", "RECONCILE_INTERVAL": "0"}
    with stage.engine(1) as engine, daemon(Place(stage.scratch, {}, engine), settings) as (pid, _, _):
        empty = resident(pid)
    with (
        stage.engine(count + len(stage.routes)) as engine,
        daemon(Place(stage.scratch, {}, engine), settings) as (pid, port, _),
    ):
        known, traced = resident(pid), counts(pid, file)["bytes"]
        register(port, routes)
        registered = counts(pid, file)["bytes"] - traced
    return {"session": (known - empty) / count / _KIB, "preview": registered / count / _KIB}


def _start(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    count = _number(subject)
    with stage.engine(max(count, 1), count) as engine:
        start = time.perf_counter()
        with daemon(Place(stage.scratch, {}, engine), {}) as (pid, _, _):
            return {"ready": time.perf_counter() - start, "cost": processor_seconds(pid)}


def _left(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    requests, file = scale.size(20_000, 2000), stage.scratch / "counts"
    with daemon(stage.place, {"BENCH_COUNTS": str(file)}) as (pid, port, _):
        register(port, stage.routes)
        proxy = Proxy.single(pid, port, stage.place)
        small = request(proxy.path("bench", "/small"))

        def held_after(number: int) -> Mapping[str, int]:
            stage.load.closed(port, [small], connections=32, count=number)
            time.sleep(0.3)  # the last connections are closed
            return counts(pid, file)

        before, after = held_after(2000), held_after(requests)
    return {name: (after[name] - before[name]) / requests * 1000 for name in ("blocks", "cyclic", "collections")}


SCALE = (
    Workload(
        name="scale-idle",
        group="scale",
        title="2,000 idle client connections",
        about="Each after one request, to a proxy started for it and warmed up; resident memory by connection.",
        subjects=("nginx", "haproxy", "gateway", "hpm", "chp"),
        metrics=(Metric("memory", "KiB each"),),
        measure=_idle,
        seconds=3.0,
        rounds=3,
    ),
    Workload(
        name="scale-sessions",
        group="scale",
        title="Throughput by number of sessions",
        about="100 bytes, 32 connections, each request to the next session's preview; one daemon that knows 1,000.",
        subjects=("1 session", "10 sessions", "100 sessions", "1,000 sessions"),
        metrics=(Metric("rate", "requests/s", more_is_better=True), Metric("cost", "processor µs a request")),
        measure=_throughput,
        seconds=1.2,
        ours="1 session",
    ),
    Workload(
        name="scale-memory",
        group="scale",
        title="Memory of 10,000 sessions and registered previews",
        about="Sessions: resident memory; previews: what CPython has allocated for them (tracemalloc). The engine and "
        "its containers are simulated.",
        subjects=("gateway",),
        metrics=(
            Metric("session", "KiB a session"),
            Metric("preview", "KiB a registered preview"),
        ),
        measure=_memory,
        seconds=65.0,
        rounds=1,
    ),
    Workload(
        name="scale-start",
        group="scale",
        title="Start until ready",
        about="From the process's start, with a simulated engine that knows so many containers and tells of each that "
        "it was started just now.",
        subjects=("0 containers", "100 containers", "1,000 containers"),
        metrics=(Metric("ready", "s"), Metric("cost", "processor s")),
        measure=_start,
        seconds=2.2,
        ours="0 containers",
    ),
    Workload(
        name="scale-left",
        group="scale",
        title="What 20,000 requests leave behind",
        about="CPython's count of allocated blocks after them less that before, after a full collection each time; "
        "objects that only the collector could free; and its runs.",
        subjects=("gateway",),
        metrics=(
            Metric("blocks", "blocks left by 1,000 requests"),
            Metric("cyclic", "objects in cycles, of 1,000 requests"),
            Metric("collections", "collector's runs in 1,000 requests"),
        ),
        measure=_left,
        seconds=4.5,
    ),
)
