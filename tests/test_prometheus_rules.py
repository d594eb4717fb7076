"""etc/prometheus-rules.yaml and the dashboard's queries, read as strictly as Prometheus reads them.

promtool would say the same of the rules, and is not where tests run; its parser's twin types the queries.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import yaml
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[1]
_DURATION = re.compile(r"([0-9]+(ms|[smhdwy]))+")
_TEMPLATE = re.compile(r"\{\{ \$(?:labels\.([a-z_]+)|value) \}\}")


class _Strict(yaml.SafeLoader):
    """Refuses a key that comes twice, as Prometheus does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=deep) for key, _ in node.value]
        if len(keys) != len(set(keys)):
            raise yaml.constructor.ConstructorError(None, None, f"a key comes twice: {keys}", node.start_mark)
        return super().construct_mapping(node, deep)


def rules(text: str | None = None) -> list[dict[str, Any]]:
    """The alerts of the file; raises when a field is one that Prometheus does not know."""
    text = (ROOT / "etc/prometheus-rules.yaml").read_text("utf-8") if text is None else text
    document = yaml.load(text, Loader=_Strict)  # a SafeLoader
    assert set(document) == {"groups"}, document
    found: list[dict[str, Any]] = []
    for group in document["groups"]:
        assert set(group) <= {"name", "interval", "limit", "rules"}, group
        found += group["rules"]
    for rule in found:
        known = {"alert", "expr", "for", "keep_firing_for", "labels", "annotations"}
        assert {"alert", "expr", "annotations"} <= set(rule) <= known, rule
    return found


class Rules(SynchronousTestCase):
    def test_f29_each_alert_is_one_that_prometheus_takes(self) -> None:
        found = rules()
        self.assertGreater(len(found), 8)
        names = [rule["alert"] for rule in found]
        self.assertEqual(len(names), len(set(names)))
        for rule in found:
            self.assertRegex(rule["alert"], r"\ASandbox[A-Za-z]+\Z")
            self.assertRegex(rule.get("for", "0s"), rf"\A{_DURATION.pattern}\Z")
            self.assertTrue(all(isinstance(value, str) and value for value in rule["annotations"].values()), rule)
            query = promql_parser.parse(rule["expr"])
            self.assertIsInstance(query, promql_parser.BinaryExpr, "an alert compares")
            self.assertIn(str(query.op), (">", "<", "==", "!=", ">=", "<="), rule)

    def test_f29_annotations_name_labels_that_the_query_keeps(self) -> None:
        """An aggregation keeps what stands behind `by`; a label that is not there is shown as nothing."""
        for rule in rules():
            kept = re.findall(r"\bby \(([a-z_, ]+)\)", rule["expr"])
            for text in rule["annotations"].values():
                self.assertEqual(re.findall(r"\{\{", text), ["{{"] * len(_TEMPLATE.findall(text)), text)
                for label in filter(None, _TEMPLATE.findall(text)):
                    for names in kept:
                        self.assertIn(label, re.split(r",\s*", names), rule)

    def test_f29_what_is_wrong_is_found(self) -> None:
        rule = "groups: [{name: a, rules: [{alert: A, expr: up, annotations: {}, %s}]}]"
        for wrong in ("if: x", "alert: B", "expr: x"):
            with self.subTest(wrong), self.assertRaises((AssertionError, yaml.YAMLError)):
                rules(rule % wrong)
        for query in ("rate(up)", "sum by (a (up)", "up >", "up{a=}"):
            self.assertRaises(ValueError, promql_parser.parse, query)

    def test_f29_the_dashboard_asks_what_prometheus_understands(self) -> None:
        board = json.loads((ROOT / "etc/grafana-dashboard.json").read_text("utf-8"))
        queries = [target["expr"] for panel in board["panels"] for target in panel.get("targets", ())]
        self.assertGreater(len(queries), 40)
        for query in queries:
            promql_parser.parse(query.replace("$__rate_interval", "5m").replace("$__range", "1h"))
