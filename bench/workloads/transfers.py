"""Large downloads and uploads, and events to many: :data:`TRANSFERS`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.backend import HUGE
from bench.figures import latencies
from bench.measurement import Failed, Measure, Metric, Scale, Workload
from bench.peers import Proxy
from bench.processes import peak, processor_seconds, reset_peak, resident, run
from bench.stage import Stage
from bench.workloads.http import MOST

_MB = 1e6
_METRICS = (
    Metric("speed", "MB/s", more_is_better=True),
    Metric("cost", "processor s a GiB"),
    Metric("memory", "MB more memory at the peak"),
)
_QUICK = 32 << 20


def _curl(proxy: Proxy, what: Sequence[str], url: str) -> float:
    fields = [part for field in proxy.headers for part in ("-H", field)]
    shown = "%{http_code} %{size_download} %{size_upload} %{time_total}"
    command = ["curl", "--silent", "--show-error", "--output", "/dev/null", "--write-out", shown, *fields, *what, url]
    status, down, up, seconds = run(command, timeout=120).split()
    if not status.startswith("2"):
        raise Failed(f"status {status}")
    return (int(down) + int(up)) / float(seconds)


def _transfer(proxy: Proxy, what: Sequence[str], url: str, size: int) -> Mapping[str, float]:
    if not proxy.pid:
        return {"speed": _curl(proxy, what, url) / _MB}
    reset_peak(proxy.pid)
    memory, processor = resident(proxy.pid), processor_seconds(proxy.pid)
    speed = _curl(proxy, what, url)
    return {
        "speed": speed / _MB,
        "cost": (processor_seconds(proxy.pid) - processor) * (1 << 30) / size,
        "memory": max(0, peak(proxy.pid) - memory) / _MB,
    }


def _download(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    size = scale.size(HUGE, _QUICK)
    with stage.fresh(subject, warm_up=False) as proxy:
        return _transfer(proxy, ["--range", f"0-{size - 1}"], proxy.url("bench", "/huge"), size)


def _upload(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    size = scale.size(HUGE, _QUICK)
    body = stage.scratch / "upload"
    if not body.exists():
        with body.open("wb") as file:
            file.truncate(size)
    with stage.fresh(subject, warm_up=False) as proxy:
        return _transfer(proxy, ["--upload-file", str(body), "-H", "Expect:"], proxy.url("uploads", "/"), size)


def _events(stage: Stage, subject: str, scale: Scale) -> Mapping[str, float]:
    proxy = stage.proxy(subject)
    streams, events = scale.size(1000, 50), scale.size(6, 2)
    before = processor_seconds(proxy.pid) if proxy.pid else 0.0
    seen = stage.streams.fan_out(proxy, streams, events, 0.25)
    found = {**latencies(seen.latencies), "lost": float(seen.lost)}
    if proxy.pid:
        found["cost"] = (processor_seconds(proxy.pid) - before) / (streams * events) * 1e6
    return found


def _transfers(name: str, title: str, about: str, measure: Measure) -> Workload:
    return Workload(
        name=name,
        group="http",
        title=title,
        about=about,
        subjects=("direct", *MOST),
        metrics=_METRICS,
        measure=measure,
        seconds=3.0,
    )


TRANSFERS = (
    _transfers("http-download", "Download of 1 GiB", "One curl; the proxy is started for it alone.", _download),
    _transfers("http-upload", "Upload of 1 GiB", "One curl, to an application that reads and forgets.", _upload),
    Workload(
        name="http-events",
        group="http",
        title="Server-sent events to 1,000 streams",
        about="6 events, one each 250 ms, to every stream; latency from when the application began to send it to all.",
        subjects=("direct", "nginx", "haproxy", "gateway", "hpm", "chp"),
        metrics=(
            Metric("p50", "p50 ms"),
            Metric("p99", "p99 ms"),
            Metric("lost", "lost"),
            Metric("cost", "processor µs a delivery"),
        ),
        measure=_events,
        seconds=3.0,
    ),
)
