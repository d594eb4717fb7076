"""Rounds, and what becomes of a subject that fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from bench.__main__ import FULL, QUICK, WORKLOADS, choose, options, seconds
from bench.measurement import Failed, Metric, Scale, Workload, measure


def workload(work: Any, **more: Any) -> Workload:
    """Three subjects and one metric."""
    what = {"subjects": ("a", "b", "c"), "metrics": (Metric("rate", "requests/s"),), "ours": "a", **more}
    return Workload(name="x", group="http", title="X", about="X.", measure=work, seconds=1.0, **what)


class Rounds(SynchronousTestCase):
    def setUp(self) -> None:
        self.stage: Any = object()
        self.order: list[str] = []

    def test_subjects_take_turns(self) -> None:
        """A B C A B C: what disturbs the machine for a while disturbs all of them."""

        def work(stage: object, subject: str, scale: Scale) -> Mapping[str, float]:
            self.order.append(subject)
            return {"rate": len(self.order)}

        result = measure(workload(work), self.stage, Scale(2, 1.0, False), ["a", "b", "c"])
        self.assertEqual(self.order, ["a", "b", "c"] * 2)
        self.assertEqual(result.values, {"rate": {"a": [1, 4], "b": [2, 5], "c": [3, 6]}})
        self.assertEqual(result.failures, {})

    def test_subject_that_fails_is_told_and_left_out_and_the_others_go_on(self) -> None:
        def work(stage: object, subject: str, scale: Scale) -> Mapping[str, float]:
            self.order.append(subject)
            if subject == "b":
                raise Failed("no more sockets")
            return {"rate": 1}

        result = measure(workload(work), self.stage, Scale(3, 1.0, False), ["a", "b", "c"])
        self.assertEqual(self.order.count("b"), 1)
        self.assertEqual(result.values["rate"]["b"], [None, None, None])
        self.assertEqual(result.values["rate"]["c"], [1, 1, 1])
        self.assertEqual(result.failures, {"b": "Failed: no more sockets"})

    def test_fault_of_the_measurement_itself_ends_the_run(self) -> None:
        def work(stage: object, subject: str, scale: Scale) -> Mapping[str, float]:
            raise ZeroDivisionError

        self.assertRaises(ZeroDivisionError, measure, workload(work), self.stage, QUICK, ["a"])

    def test_workload_may_have_fewer_rounds_but_not_more(self) -> None:
        one = workload(None, rounds=1)
        self.assertEqual([one.rounds_of(Scale(rounds, 1.0, False)) for rounds in (1, 5)], [1, 1])
        self.assertEqual(workload(None, rounds=9).rounds_of(FULL), 5)


class Workloads(SynchronousTestCase):
    def test_names_are_unique_and_ours_is_measured(self) -> None:
        self.assertEqual(len({each.name for each in WORKLOADS}), len(WORKLOADS))
        for each in WORKLOADS:
            self.assertIn(each.ours, each.subjects, each.name)
            self.assertEqual(len(set(each.subjects)), len(each.subjects), each.name)

    def test_whole_run_takes_at_least_five_rounds_and_less_than_half_an_hour(self) -> None:
        self.assertGreaterEqual(FULL.rounds, 5)
        self.assertLess(sum(seconds(each, FULL, each.subjects) for each in choose(options([]))), 30 * 60)

    def test_quick_run_is_short(self) -> None:
        chosen = choose(options(["--quick"]))
        self.assertLess(sum(seconds(each, QUICK, each.subjects) for each in chosen), 3 * 60)
        self.assertIn("hostile-16", [each.name for each in chosen])

    def test_hostile_peers_are_not_part_of_a_whole_run(self) -> None:
        """They take longer than all the rest."""
        self.assertNotIn("hostile", {each.group for each in choose(options([]))})
        named = [each.name for each in choose(options(["--only", "hostile"]))]
        self.assertEqual(named, ["hostile-1", "hostile-16", "hostile-64", "hostile-256"])

    def test_only_is_repeatable(self) -> None:
        self.assertEqual(options(["--only", "http-4k", "--only", "exec"]).only, ["http-4k", "exec"])
