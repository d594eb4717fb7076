"""Requests in closed and open loops, and a page: :data:`HTTP`."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from functools import partial

import attrs

from bench.backend import page_sizes
from bench.figures import latencies
from bench.load.requests import request
from bench.measurement import Metric, Scale, Workload
from bench.peers import Proxy
from bench.processes import processor_seconds
from bench.stage import Stage

#: Every proxy; those that are worth a look in most cells; and those that keep up with higher rates.
ALL = ("nginx", "haproxy", "gateway", "gateway-access", "gateway-logs", "hpm", "hpm-newer", "hpm-close", "chp", "stock")
MOST = ("nginx", "haproxy", "gateway", "hpm", "chp", "stock")
FAST = ("nginx", "haproxy", "gateway", "gateway-access")

_RATE = Metric("rate", "requests/s", more_is_better=True)
_COST = Metric("cost", "processor µs a request")
_LOOP = (_RATE, _COST)
_OPEN = (Metric("p50", "p50 ms"), Metric("p99", "p99 ms"), Metric("p99.9", "p99.9 ms"))

#: More heads than anybody remembers.
_HEADS = 5000


@attrs.frozen
class Shape:
    """What is asked for in a closed loop."""

    path: str = "/small"
    connections: int = 32
    body: bytes = b""
    closing: bool = False
    new_heads: bool = False

    def requests(self, proxy: Proxy) -> Sequence[bytes]:
        """The requests, to be sent in turn."""
        fields = [*proxy.headers, *(["Connection: close"] if self.closing else [])]
        path = proxy.path("bench", self.path)
        if self.new_heads:
            return [request(path, [*fields, f"X-Request-Id: {number}"]) for number in range(_HEADS)]
        return [request(path, fields, self.body)]


def _closed(shape: Shape, stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    before = processor_seconds(proxy.pid)
    seen = stage.load.closed(
        proxy.port("bench"), shape.requests(proxy), connections=shape.connections, seconds=scale.seconds
    )
    count = len(seen.latencies)
    return {"rate": count / seen.seconds, "cost": (processor_seconds(proxy.pid) - before) / count * 1e6}


def _added(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    def median(proxy: Proxy) -> float:
        small = request(proxy.path("bench", "/small"), proxy.headers)
        return statistics.median(
            stage.load.closed(proxy.port("bench"), [small], connections=1, seconds=scale.seconds / 2).latencies
        )

    without = median(stage.direct)
    return {"added": median(stage.proxy(subject)) - without}


def _at_rate(rate: int, stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    small = request(proxy.path("bench", "/small"), proxy.headers)
    seconds = scale.seconds * 1.6
    return latencies(
        stage.load.open(proxy.port("bench"), [small], connections=64, rate=rate, seconds=seconds).latencies
    )


def _page(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    requests = [request(proxy.path("bench", f"/page/{n}"), proxy.headers) for n in range(len(page_sizes()))]
    pages = scale.size(5, 1)
    before = processor_seconds(proxy.pid) if proxy.pid else 0.0
    seen = stage.load.closed(proxy.port("bench"), requests, connections=6, count=pages * len(requests))
    found = {"page": seen.seconds / pages * 1000}
    if proxy.pid:
        found["cost"] = (processor_seconds(proxy.pid) - before) / pages * 1000
    return found


def _loop(name: str, title: str, about: str, shape: Shape, subjects: Sequence[str] = MOST) -> Workload:
    return Workload(
        name=name,
        group="http",
        title=title,
        about=about,
        subjects=subjects,
        metrics=_LOOP,
        measure=partial(_closed, shape),
        seconds=1.1,
    )


def _rates(rate: int, subjects: Sequence[str]) -> Workload:
    return Workload(
        name=f"http-rate-{rate}",
        group="http",
        title=f"{rate:,} requests/s, 64 connections",
        about=f"100 bytes, a request due every {1e6 / rate:.0f} µs; latency counts from when it was due.",
        subjects=subjects,
        metrics=_OPEN,
        measure=partial(_at_rate, rate),
        seconds=1.7,
    )


HTTP = (
    _loop("http-100b", "100 B, 32 connections", "Answers of 100 bytes; connections are kept.", Shape(), ALL),
    _loop("http-4k", "4 KiB, 32 connections", "Answers of 4 KiB.", Shape("/4k")),
    _loop("http-64k", "64 KiB, 32 connections", "Answers of 64 KiB.", Shape("/64k")),
    _loop("http-1m", "1 MiB, 32 connections", "Answers of 1 MiB.", Shape("/1m")),
    _loop("http-c1", "100 B, 1 connection", "One request at a time.", Shape(connections=1)),
    _loop("http-c256", "100 B, 256 connections", "As at 32.", Shape(connections=256)),
    _loop(
        "http-new",
        "100 B, a new connection for each request",
        "32 at once; the client asks to close after each answer.",
        Shape(closing=True),
    ),
    _loop(
        "http-heads",
        "100 B, every head new, 32 connections",
        "A field with another value in each request, so that remembering heads gains nothing.",
        Shape(new_heads=True),
    ),
    _loop(
        "http-post",
        "POST 16 KiB, 32 connections",
        "The application reads the body, then answers 100 bytes.",
        Shape("/post", body=b"x" * 16384),
    ),
    Workload(
        name="http-latency",
        group="http",
        title="Latency added over direct, 1 connection",
        about="The median latency through the proxy less that without one, measured one after the other.",
        subjects=ALL,
        metrics=(Metric("added", "µs added"),),
        measure=_added,
        seconds=1.1,
    ),
    _rates(500, ("direct", *ALL)),
    _rates(5000, ("direct", *FAST)),
    Workload(
        name="http-page",
        group="http",
        title="A dev server's page of 300 modules, 6 connections",
        about="300 answers of 2 to 300 KiB, 3.5 MB in all, as a browser fetches them.",
        subjects=("direct", *MOST),
        metrics=(Metric("page", "ms a page"), Metric("cost", "processor ms a page")),
        measure=_page,
        seconds=0.7,
    ),
)
