"""A run as Markdown: what it was measured on, and a table for each workload. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bench.figures import Spread, amount, ratios
from bench.report.bars import verdicts
from bench.report.plots import Plot

_GROUPS = {
    "http": "HTTP previews",
    "websockets": "WebSockets",
    "engine": "Commands and files",
    "scale": "Scale",
    "hostile": "Hostile peers",
}

_RATIOS = "round by round. A ratio over 1 means more than the other: good where more is better, bad for times."
_QUICK = ["", "**A quick run, which only shows that everything works: its values mean nothing.**"]


def title(subject: str, run: Any) -> str:
    """What a subject is called."""
    found: str = run["titles"].get(subject, subject)
    return found


def render(run: Any, source: str, plots: Sequence[Plot]) -> str:
    """The page.

    :param source: the name of the file that the run is kept in.
    :param plots: those that were drawn, in their order.
    """
    hostile = all(workload["group"] == "hostile" for workload in run["workloads"])
    lines = ["# Results among hostile peers" if hostile else "# Results", ""]
    command = "bench/run --only hostile" if hostile else "bench/run"
    lines += [
        f"Written by `{command}` from `bench/results/{source}`; [performance.md](../performance.md) explains it.",
        f"Values are medians of {run['rounds']} rounds, with the least and the most in brackets"
        + ("." if hostile else "; ratios are taken"),
        *([] if hostile else [_RATIOS]),
        *(_QUICK if run["quick"] else []),
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in run["facts"].items()),
        "",
    ]
    rows = list(verdicts(run))
    if rows:
        lines += ["## Against the bars", "", "What was asked of the project before it was built.", ""]
        lines += ["| bar | measured | |", "|---|---:|---|", *rows, ""]
    for group, heading in _GROUPS.items():
        workloads = [workload for workload in run["workloads"] if workload["group"] == group]
        if workloads:
            lines += [f"## {heading}", ""]
            lines += [f"![{plot.title}]({plot.name}.svg)" for plot in plots if plot.group == group]
            lines += [""] if any(plot.group == group for plot in plots) else []
        for workload in workloads:
            lines += [
                f"### {workload['title']}",
                "",
                f"{workload['about']}{_rounds(workload, run)} (`{workload['name']}`)",
                "",
            ]
            lines += [*table(workload, run), ""]
    return "\n".join(lines)


def _rounds(workload: Mapping[str, Any], run: Any) -> str:
    """How often it was measured, where that is not as often as the rest."""
    number = max(len(values) for subjects in workload["values"].values() for values in subjects.values())
    if number == run["rounds"]:
        return ""
    return " One round." if number == 1 else f" {number} rounds."


def table(workload: Mapping[str, Any], run: Any) -> Iterator[str]:
    """A row a subject: for each metric its median with the spread, and the ratio of ours to it."""
    ours, metrics = workload["ours"], workload["metrics"]
    compared = workload.get("compared", True) and len(workload["values"][metrics[0]["name"]]) > 1
    head = [metric["title"] for metric in metrics]
    if compared:
        head += [f"{title(ours, run)} / it, {_unit(metric['title'])}" for metric in metrics]
    yield f"| | {' | '.join(head)} |"
    yield "|---|" + "---:|" * len(head)
    for subject in workload["values"][metrics[0]["name"]]:
        cells = [_cell(workload["values"][metric["name"]][subject]) for metric in metrics]
        if compared:
            cells += [_ratio(workload["values"][metric["name"]], ours, subject) for metric in metrics]
        name = title(subject, run)
        yield f"| {f'**{name}**' if subject == ours else name} | {' | '.join(cells)} |"
    for subject, why in workload["failures"].items():
        yield ""
        yield f"{title(subject, run)} failed: {why}"


def _unit(text: str) -> str:
    """What a column of ratios is called."""
    return text.removesuffix(" more memory at the peak").strip() if text.startswith("MB ") else text


def _cell(values: Sequence[float | None]) -> str:
    measured = [value for value in values if value is not None]
    if not measured:
        return "-"
    spread = Spread.of(measured)
    if len(measured) == 1 or spread.least == spread.most:
        return amount(spread.median)
    return f"{amount(spread.median)} ({amount(spread.least)} to {amount(spread.most)})"


def _ratio(values: Mapping[str, Sequence[float | None]], ours: str, subject: str) -> str:
    ratio = ratios(values[ours], values[subject]) if subject != ours and ours in values else None
    if ratio is None:
        return ""
    return f"{amount(ratio.median)} ({amount(ratio.least)} to {amount(ratio.most)})"
