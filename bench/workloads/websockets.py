"""WebSockets: echo, broadcast, opening, and idle ones: :data:`WEBSOCKETS`."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from bench.figures import percentile
from bench.measurement import Measure, Metric, Scale, Workload
from bench.processes import processor_seconds, resident
from bench.stage import Stage

_PEERS = ("nginx", "haproxy", "gateway", "http-proxy")


def _echo(size: int, stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    before, start = processor_seconds(proxy.pid), time.perf_counter()
    number = stage.sockets.echo(proxy, 32, size, scale.seconds)
    took = time.perf_counter() - start
    return {"rate": number / took, "cost": (processor_seconds(proxy.pid) - before) / number * 1e6}


def _broadcast(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy, sockets = stage.proxy(subject), scale.size(500, 50)
    with_sockets = processor_seconds(proxy.pid)
    took = sorted(stage.sockets.broadcast(proxy, sockets, scale.seconds))
    cost = processor_seconds(proxy.pid) - with_sockets
    return {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "cost": cost / (len(took) * sockets) * 1e6}


def _connect(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    before, start = processor_seconds(proxy.pid), time.perf_counter()
    number = stage.sockets.connect(proxy, 16, scale.seconds)
    took = time.perf_counter() - start
    return {"rate": number / took, "cost": (processor_seconds(proxy.pid) - before) / number * 1e6}


def _idle(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    sockets = scale.size(5000, 500)
    with stage.fresh(subject, warm_up=False) as proxy:
        with stage.sockets.opened(proxy, 50):
            pass  # what is made once is made
        time.sleep(0.2)
        before = resident(proxy.pid)
        with stage.sockets.opened(proxy, sockets):
            time.sleep(0.5)
            return {"memory": (resident(proxy.pid) - before) / sockets / 1024}


def _workload(name: str, title: str, about: str, measure: Measure, **more: Any) -> Workload:
    what = {"group": "websockets", "subjects": _PEERS, **more}
    return Workload(name=f"websocket-{name}", title=title, about=about, measure=measure, **what)


_ECHO = (Metric("rate", "messages/s", more_is_better=True), Metric("cost", "processor µs a message"))

WEBSOCKETS = (
    *(
        _workload(
            f"echo-{size}",
            f"Echo, {shown}, 32 connections",
            "A message there and back again counts once.",
            partial(_echo, size),
            metrics=_ECHO,
            seconds=1.2,
        )
        for size, shown in ((64, "64 B"), (4096, "4 KiB"), (65536, "64 KiB"))
    ),
    _workload(
        "broadcast",
        "Broadcast to 500 sockets",
        "A message of 64 bytes to each, until the last has it; the cost includes opening the sockets.",
        _broadcast,
        metrics=(Metric("p50", "p50 ms"), Metric("p99", "p99 ms"), Metric("cost", "processor µs a delivery")),
        seconds=1.6,
    ),
    _workload(
        "connect",
        "Opening and closing, 16 at once",
        "Both handshakes and both ends closed.",
        _connect,
        metrics=(Metric("rate", "sockets/s", more_is_better=True), Metric("cost", "processor µs a socket")),
        seconds=1.1,
    ),
    _workload(
        "idle",
        "5,000 idle sockets",
        "Resident memory of a proxy started for it, by socket.",
        _idle,
        metrics=(Metric("memory", "KiB each"),),
        seconds=4.0,
        rounds=3,
    ),
)
