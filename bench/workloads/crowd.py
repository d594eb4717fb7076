"""What slow clients cost the others: :data:`CROWD`."""

from __future__ import annotations

import re
import time
import urllib.request
from collections.abc import Mapping

from bench.figures import latencies
from bench.load.crowd import Crowd
from bench.load.requests import request
from bench.measurement import Metric, Scale, Workload
from bench.peers import Proxy
from bench.peers.gateway import KEY
from bench.stage import Stage

_RATE = 500
_LAG = re.compile(r'^sandbox_reactor_lag_seconds_bucket\{le="(.+)"\} (\S+)$', re.MULTILINE)


def _others(stage: Stage, proxy: Proxy, seconds: float) -> Mapping[str, float]:
    small = request(proxy.path("bench", "/small"), proxy.headers)
    seen = stage.load.open(proxy.port("bench"), [small], connections=64, rate=_RATE, seconds=seconds)
    return latencies(seen.latencies)


def _lags(proxy: Proxy) -> Mapping[float, float]:
    """How often the daemon's reactor was late by at most so many seconds since it started."""
    asked = urllib.request.Request(f"http://127.0.0.1:{proxy.port('bench')}/metrics")
    asked.add_header("X-Internal-Service-Key", KEY)
    with urllib.request.urlopen(asked, timeout=20) as response:
        return {float(bound): float(count) for bound, count in _LAG.findall(response.read().decode())}


def at_most(before: Mapping[float, float], after: Mapping[float, float], share: float) -> float:
    """What ``share`` (0 to 1) of what a histogram counted in between does not exceed: one of its bounds.

    >>> at_most({1.0: 5, 2.0: 5, 4.0: 5}, {1.0: 95, 2.0: 104, 4.0: 105}, 0.99)
    2.0
    """
    counts = {bound: count - before[bound] for bound, count in after.items()}
    return min(bound for bound, count in counts.items() if count >= share * max(counts.values()))


def _among(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    # The crowd comes within the time that the gateway gives a head: from then on as many are refused as came.
    seconds, arrival = scale.size(60, 5) / 10, scale.size(100, 5) / 10
    alone = _others(stage, proxy, seconds)
    before = _lags(proxy) if subject == "gateway" else {}
    with Crowd(proxy, scale.size(2000, 200), scale.size(500, 50), scale.size(200, 20), arrival) as crowd:
        time.sleep(arrival * 1.2)
        among = _others(stage, proxy, seconds)
        crowd.check()
    found = {"p50-alone": alone["p50"], "p99-alone": alone["p99"], **among, "times": among["p99"] / alone["p99"]}
    if before:
        found["lag"] = at_most(before, _lags(proxy), 0.999) * 1000
    return found


CROWD = (
    Workload(
        name="http-crowd",
        group="http",
        title=f"{_RATE} requests/s among 2,700 slow clients",
        about="100 bytes over 64 connections, alone and then among 2,000 heads of which a byte comes each two seconds, "
        "500 uploads of a byte a second, and 200 readers of 4 KiB a second; a head that is refused is begun anew.",
        subjects=("direct", "nginx", "gateway", "hpm"),
        metrics=(
            Metric("p50-alone", "p50 ms alone"),
            Metric("p50", "p50 ms among them"),
            Metric("p99-alone", "p99 ms alone"),
            Metric("p99", "p99 ms among them"),
            Metric("times", "p99 among them / alone"),
            Metric("lag", "reactor's lag, p99.9 at most, ms"),
        ),
        measure=_among,
        seconds=25.0,
        quick=2.2,
        rounds=3,
    ),
)
