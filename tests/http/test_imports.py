"""The modules of the server import each other one way, for types too."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import sandbox.http

PACKAGE = "sandbox.http."


def imports(path: Path) -> set[str]:
    """The package's modules that one imports, wherever it does."""
    tree = ast.parse(path.read_text("utf-8"))
    found = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names = {name.removeprefix(PACKAGE) for name in found if name.startswith(PACKAGE)}
    if "sandbox.http" in found:
        names |= {
            name.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "sandbox.http"
            for name in node.names
        }
    return names


class Circles(SynchronousTestCase):
    def test_there_is_one_only_between_a_connection_and_its_requests(self) -> None:
        (directory,) = sandbox.http.__path__
        found = {path.stem: imports(path) for path in Path(directory).glob("*.py")}
        self.assertIn("connection", found["request"])
        self.assertIn("request", found["connection"])
        found["request"].remove("connection")
        try:
            TopologicalSorter(found).prepare()
        except CycleError as error:
            self.fail(f"a circle: {error.args[1]}")
