"""What was asked of the project before it was built, and whether a run meets it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from bench.figures import Spread, amount, ratios


@attrs.frozen
class Bar:
    """One demand on a metric of a workload.

    :ivar other: the subject that ours is divided by; none: the value itself is meant.
    :ivar least: what it has to be at least; none: there is only a most.
    :ivar all: whether it is asked of every subject: then the one with the largest median counts.
    """

    text: str
    workload: str
    metric: str
    other: str | None = None
    least: float | None = None
    most: float | None = None
    all: bool = False

    def found(self, workload: Mapping[str, Any]) -> Spread | None:
        """What a run says; ``None`` when it says nothing."""
        values: Mapping[str, Sequence[float | None]] = workload["values"][self.metric]
        if self.all:
            every = [[value for value in rounds if value is not None] for rounds in values.values()]
            spreads = [Spread.of(rounds) for rounds in every if rounds]
            return max(spreads, key=lambda spread: spread.median, default=None)
        ours = values.get(workload["ours"], [])
        if self.other is not None:
            return ratios(ours, values[self.other]) if self.other in values else None
        measured = [value for value in ours if value is not None]
        return Spread.of(measured) if measured else None

    def verdict(self, found: Spread) -> str:
        """Whether it is met: by the median, and by every round or not.

        >>> Bar("", "", "", least=5).verdict(Spread(6, 4, 7))
        'met, not in every round'
        """

        def holds(value: float) -> bool:
            return (self.least is None or value >= self.least) and (self.most is None or value <= self.most)

        rounds = holds(found.least) and holds(found.most)
        if holds(found.median):
            return "met" if rounds else "met, not in every round"
        return "**not met**" if not (holds(found.least) or holds(found.most)) else "**not met**, but in some rounds"


BARS = (
    Bar("0.3 times nginx, 100 B", "http-100b", "rate", "nginx", least=0.3),
    Bar("5 times http-proxy-middleware with keep-alive, 100 B", "http-100b", "rate", "hpm", least=5),
    Bar("the same on the newer node", "http-100b", "rate", "hpm-newer", least=5),
    Bar("0.5 times nginx, 64 KiB", "http-64k", "rate", "nginx", least=0.5),
    Bar("0.7 times nginx, download of 1 GiB", "http-download", "speed", "nginx", least=0.7),
    Bar("300 µs added at one connection", "http-latency", "added", most=300),
    Bar("p99 among 2,700 slow clients, twice that alone", "http-crowd", "times", most=2),
    Bar("50 ms of the reactor's lag among them, p99.9", "http-crowd", "lag", most=50),
    Bar("12 KiB for an idle client connection", "scale-idle", "memory", most=12),
    Bar("0.8 times http-proxy, WebSocket echo of 64 B", "websocket-echo-64", "rate", "http-proxy", least=0.8),
    Bar("0.8 times http-proxy, WebSocket echo of 64 KiB", "websocket-echo-65536", "rate", "http-proxy", least=0.8),
    Bar("32 KiB for an idle WebSocket", "websocket-idle", "memory", most=32),
    Bar("50 ms in a neighbour's p99, /healthz, worst attack of 256", "hostile-256", "p99-health", most=50, all=True),
    Bar("50 ms in a neighbour's p99, preview, worst attack of 256", "hostile-256", "p99-preview", most=50, all=True),
    Bar("1 s between messages to systemd, worst attack of 256", "hostile-256", "silence", most=1000, all=True),
)


def verdicts(run: Any) -> Iterator[str]:
    """The rows of a table; none when a run measured nothing of it."""
    workloads = {workload["name"]: workload for workload in run["workloads"]}
    for bar in BARS:
        found = bar.found(workloads[bar.workload]) if bar.workload in workloads else None
        if found is not None:
            spread = f"{amount(found.median)} ({amount(found.least)} to {amount(found.most)})"
            yield f"| {bar.text} | {spread} | {bar.verdict(found)} |"
