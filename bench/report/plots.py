"""A run as SVG: bars of medians with their spread, readable on a light and on a dark page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from bench.figures import Spread

#: Of the middle of the brightness scale, so that it is read on black and on white.
_INK = "#7d8590"
_OURS, _OTHER = "#2f81f7", "#9aa4af"


@attrs.frozen
class Plot:
    """Some metrics of one kind, each in a panel of its own.

    :ivar workloads: the panels' workloads; those that were not measured are left out.
    """

    name: str
    group: str
    title: str
    metric: str
    workloads: Sequence[str]


PLOTS = (
    Plot(
        "http-cost",
        "http",
        "Processor time of the proxy, µs a request",
        "cost",
        ("http-100b", "http-4k", "http-64k", "http-new", "http-heads", "http-post"),
    ),
    Plot(
        "http-rate",
        "http",
        "Requests a second",
        "rate",
        ("http-100b", "http-4k", "http-64k", "http-1m", "http-c1", "http-c256"),
    ),
    Plot("http-latency", "http", "Latency added, µs", "added", ("http-latency",)),
    Plot("http-p99", "http", "p99 at a fixed rate, ms", "p99", ("http-rate-500", "http-rate-5000")),
    Plot(
        "websocket-cost",
        "websockets",
        "Processor time of the proxy, µs a message",
        "cost",
        ("websocket-echo-64", "websocket-echo-4096", "websocket-echo-65536"),
    ),
    Plot("websocket-idle", "websockets", "Memory of an idle WebSocket, KiB", "memory", ("websocket-idle",)),
    Plot(
        "engine",
        "engine",
        "Median time, ms",
        "p50",
        ("exec-1b", "exec-16", "exec-100mb", "file-read-small", "file-write-small", "file-read-large", "create"),
    ),
    Plot("hostile-p99", "hostile", "p99 of a neighbour's previews, ms", "p99-preview", ("hostile-16", "hostile-256")),
    Plot("hostile-silence", "hostile", "Longest silence towards systemd, ms", "silence", ("hostile-256",)),
    Plot("scale-sessions", "scale", "Requests a second by number of sessions", "rate", ("scale-sessions",)),
)


def draw(plot: Plot, run: Any, path: Path) -> None:
    """Draw one to a file; the same run gives the same bytes."""
    # Slow to import, and its settings are for the whole process: nobody else here draws.
    import matplotlib as mpl  # noqa: PLC0415

    mpl.use("svg")
    from matplotlib import pyplot  # noqa: PLC0415

    style: Any = dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), _INK)
    fixed: Any = {"svg.hashsalt": plot.name, "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}
    panels = [workload for workload in run["workloads"] if workload["name"] in plot.workloads]
    bars = sum(len(workload["values"][plot.metric]) for workload in panels)
    with mpl.rc_context({**style, **fixed}):
        heights = [len(workload["values"][plot.metric]) + 1 for workload in panels]
        figure, axes = pyplot.subplots(
            len(panels),
            1,
            figsize=(8, 0.5 + 0.22 * bars + 0.45 * len(panels)),
            squeeze=False,
            gridspec_kw={"height_ratios": heights},
            layout="constrained",
        )
        for axis, workload in zip(axes[:, 0], panels, strict=True):
            _panel(axis, workload, plot, run)
        figure.suptitle(plot.title, color=_INK)
        figure.savefig(path, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        pyplot.close(figure)


def _panel(axis: Any, workload: Any, plot: Plot, run: Any) -> None:
    names, middles, below, above, colours = [], [], [], [], []
    for subject, rounds in workload["values"][plot.metric].items():
        values = [value for value in rounds if value is not None]
        if values:
            spread = Spread.of(values)
            names.append(run["titles"].get(subject, subject))
            middles.append(spread.median)
            below.append(spread.median - spread.least)
            above.append(spread.most - spread.median)
            colours.append(_OURS if subject.startswith((workload["ours"], "gateway")) else _OTHER)
    axis.barh(names, middles, xerr=(below, above), color=colours, ecolor=_INK, height=0.7, error_kw={"lw": 1})
    axis.invert_yaxis()
    axis.set_title(workload["title"], loc="left", fontsize=9)
    axis.set_facecolor("none")
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
