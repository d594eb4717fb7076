"""What is made of a run: JSON, tables, plots."""

from __future__ import annotations

import doctest
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from bench.__main__ import WORKLOADS
from bench.figures import Spread
from bench.measurement import Metric, Result, Scale, Workload
from bench.report import bars
from bench.report.files import record, report, write
from bench.report.lines import shown
from bench.report.plots import PLOTS
from bench.report.tables import table

RATE, COST = Metric("rate", "requests/s", more_is_better=True), Metric("cost", "processor µs a request")


def result() -> Result:
    """Two rounds of three proxies, one of which fails in the second."""
    workload = Workload(
        name="http-100b",
        group="http",
        title="100 B",
        about="Small answers.",
        subjects=("gateway", "nginx", "hpm"),
        metrics=(RATE, COST),
        measure=lambda *_: {},
        seconds=1,
    )
    rates = {"gateway": [10.0, 20.0], "nginx": [40.0, 50.0], "hpm": [None, None]}
    costs = {"gateway": [60.0, 62.0], "nginx": [20.0, 31.0], "hpm": [None, None]}
    return Result(workload, {"rate": rates, "cost": costs}, {"hpm": "Failed: it ended"}, 1.0)


def run() -> Any:
    """The same as JSON, as it would be read again."""
    facts = {"date": "2026-11-23 12:00 UTC", "processor": "2 x something"}
    return json.loads(json.dumps(record([result()], facts, {"hpm": "http-proxy-middleware"}, Scale(2, 1.0, False))))


class Bars(SynchronousTestCase):
    def test_examples(self) -> None:
        self.assertEqual(doctest.testmod(bars).failed, 0)

    def test_verdict_is_by_the_median_and_tells_of_rounds_that_differ(self) -> None:
        least, most = bars.Bar("", "", "", least=5), bars.Bar("", "", "", most=300)
        self.assertEqual(least.verdict(Spread(6, 5, 7)), "met")
        self.assertEqual(least.verdict(Spread(4, 3, 4.9)), "**not met**")
        self.assertEqual(least.verdict(Spread(4, 3, 6)), "**not met**, but in some rounds")
        self.assertEqual(most.verdict(Spread(200, 100, 301)), "met, not in every round")
        self.assertEqual(most.verdict(Spread(301, 250, 400)), "**not met**, but in some rounds")

    def test_page_has_a_row_for_each_bar_that_was_measured(self) -> None:
        """0.3 of nginx in the median of two rounds, 0.25 in one of them."""
        rows = list(bars.verdicts(run()))
        self.assertEqual(rows, ["| 0.3 times nginx, 100 B | 0.325 (0.250 to 0.400) | met, not in every round |"])

    def test_bar_for_every_subject_is_judged_by_the_worst(self) -> None:
        bar = bars.Bar("", "hostile-256", "p99", most=50, all=True)
        values = {"alone": [2.0, 3.0], "one": [40.0, 60.0], "two": [30.0, 31.0], "three": [None, None]}
        found = bar.found({"ours": "alone", "values": {"p99": values}})
        self.assertEqual(found, Spread(50, 40, 60))
        self.assertIsNone(bar.found({"ours": "alone", "values": {"p99": {"alone": [None]}}}))

    def test_bars_are_of_workloads_metrics_and_subjects_that_there_are(self) -> None:
        known = {each.name: each for each in WORKLOADS}
        for bar in bars.BARS:
            workload = known[bar.workload]
            self.assertIn(bar.metric, [metric.name for metric in workload.metrics], bar.text)
            self.assertIn(bar.other or workload.ours, workload.subjects, bar.text)


class Report(SynchronousTestCase):
    def test_row_has_median_spread_and_ratio(self) -> None:
        rows = list(table(run()["workloads"][0], run()))
        self.assertEqual(rows[2], "| **gateway** | 15.0 (10.0 to 20.0) | 61.0 (60.0 to 62.0) |  |  |")
        self.assertEqual(
            rows[3],
            "| nginx | 45.0 (40.0 to 50.0) | 25.5 (20.0 to 31.0) | 0.325 (0.250 to 0.400) | 2.50 (2.00 to 3.00) |",
        )

    def test_failure_is_told_and_not_hidden(self) -> None:
        rows = list(table(run()["workloads"][0], run()))
        self.assertEqual(rows[4], "| http-proxy-middleware | - | - |  |  |")
        self.assertEqual(rows[-1], "http-proxy-middleware failed: Failed: it ended")

    def test_hostile_run_has_a_page_of_its_own_without_ratios(self) -> None:
        whole = run()
        whole["workloads"][0] |= {"name": "hostile-9", "group": "hostile", "compared": False}
        folder = Path(self.mktemp())
        written = write(whole, folder)
        self.assertEqual({path.name for path in written}, {"hostile-2026-11-23.json", "hostile.md"})
        page = (folder / "hostile.md").read_text()
        self.assertIn("`bench/run --only hostile`", page)
        self.assertIn("| **gateway** | 15.0 (10.0 to 20.0) | 61.0 (60.0 to 62.0) |\n", page)

    def test_terminal_shows_the_same(self) -> None:
        text = "\n".join(shown(result()))
        self.assertIn("gateway / it: 0.325", text)
        self.assertIn("Failed: it ended", text)

    def test_files_are_the_same_each_time(self) -> None:
        """Otherwise each run would change every committed plot."""
        first, second = Path(self.mktemp()), Path(self.mktemp())
        for folder in (first, second):
            write(run(), folder)
        names = sorted(path.name for path in first.iterdir())
        self.assertEqual(names, ["2026-11-23.json", "http-cost.svg", "http-rate.svg", "results.md"])
        for name in names:
            self.assertEqual((first / name).read_bytes(), (second / name).read_bytes(), name)

    def test_plot_is_small_and_has_no_background(self) -> None:
        """It is put on light pages and on dark ones."""
        folder = Path(self.mktemp())
        report(run(), folder, "x.json")
        plot = folder / "http-cost.svg"
        self.assertLess(plot.stat().st_size, 100_000)
        root = ET.parse(plot).getroot()
        drawn = [each.get("style", "") for each in root.iter() if "patch" in (each.get("id") or "")]
        styles = [path.get("style", "") for each in root.iter() if each.get("id") == "patch_1" for path in each]
        self.assertTrue(drawn)
        self.assertEqual([style for style in styles if "fill: none" not in style and "opacity: 0" not in style], [])

    def test_page_shows_the_plots_that_were_drawn_and_the_machine(self) -> None:
        folder = Path(self.mktemp())
        report(run(), folder, "x.json")
        page = (folder / "results.md").read_text()
        self.assertIn("(http-cost.svg)", page)
        self.assertNotIn("(engine.svg)", page)
        self.assertIn("| processor | 2 x something |", page)
        self.assertIn("`bench/results/x.json`", page)

    def test_fewer_rounds_than_the_rest_are_told(self) -> None:
        folder = Path(self.mktemp())
        report({**run(), "rounds": 5}, folder, "x.json")
        self.assertIn("Small answers. 2 rounds. (`http-100b`)", (folder / "results.md").read_text())

    def test_quick_run_says_that_it_means_nothing(self) -> None:
        folder = Path(self.mktemp())
        report({**run(), "quick": True}, folder, "x.json")
        self.assertIn("mean nothing", (folder / "results.md").read_text())

    def test_plots_are_of_workloads_and_metrics_that_there_are(self) -> None:
        metrics = {each.name: {metric.name for metric in each.metrics} for each in WORKLOADS}
        for plot in PLOTS:
            for name in plot.workloads:
                self.assertIn(plot.metric, metrics[name], f"{plot.name}: {name}")
