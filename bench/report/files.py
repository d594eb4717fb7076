"""Writes what a run found: its values as JSON, and of those the tables and plots that docs/performance.md includes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.measurement import Result, Scale
from bench.report.plots import PLOTS, draw
from bench.report.tables import render

_ROOT = Path(__file__).parents[2]
RESULTS = _ROOT / "bench" / "results"
PAGES = _ROOT / "docs" / "performance"


def record(results: Sequence[Result], facts: Mapping[str, str], titles: Mapping[str, str], scale: Scale) -> Any:
    """A run as JSON: everything that its report is made from."""
    return {
        "facts": dict(facts),
        "rounds": scale.rounds,
        "quick": scale.quick,
        "titles": dict(titles),
        "workloads": [
            {
                "name": result.workload.name,
                "group": result.workload.group,
                "title": result.workload.title,
                "about": result.workload.about,
                "ours": result.workload.ours,
                "compared": result.workload.compared,
                "metrics": [
                    {"name": each.name, "title": each.title, "more_is_better": each.more_is_better}
                    for each in result.workload.metrics
                ],
                "values": {
                    metric: {
                        subject: [None if value is None else float(f"{value:.6g}") for value in values]
                        for subject, values in subjects.items()
                    }
                    for metric, subjects in result.values.items()
                },
                "failures": dict(result.failures),
            }
            for result in results
        ],
    }


def write(run: Any, output: Path | None) -> list[Path]:
    """Write a run and its report; gives the files.

    :param output: a directory for all of it; none: where the project keeps its own.
    """
    values = (output or RESULTS) / f"{'' if page(run) == 'results' else 'hostile-'}{run['facts']['date'][:10]}.json"
    pages = output or PAGES
    values.parent.mkdir(parents=True, exist_ok=True)
    values.write_text(json.dumps(run, indent=1) + "\n")
    return [values, *report(run, pages, values.name)]


def page(run: Any) -> str:
    """The name of a run's page. Hostile peers have one of their own, because they take as long as all the rest."""
    groups = {workload["group"] for workload in run["workloads"]}
    return "hostile" if groups == {"hostile"} else "results"


def report(run: Any, pages: Path, source: str) -> list[Path]:
    """Write the report of a run alone.

    :param source: the name of the file that the run is kept in.
    """
    pages.mkdir(parents=True, exist_ok=True)
    known = {workload["name"] for workload in run["workloads"]}
    drawn = [plot for plot in PLOTS if known & set(plot.workloads)]
    written = []
    for plot in drawn:
        path = pages / f"{plot.name}.svg"
        draw(plot, run, path)
        written.append(path)
    table = pages / f"{page(run)}.md"
    table.write_text(render(run, source, drawn))
    return [*written, table]
