"""What no linter sees: the rules of the house that are about the whole of ``sandbox/``."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import sandbox

ROOT = Path(sandbox.__file__).parent
SOURCES = sorted(ROOT.rglob("*.py"))
#: Lines of one module, and of one function where parts are put together.
MODULE, FUNCTION = 350, 50


def name_of(path: Path) -> str:
    """A module's name."""
    parts = ("sandbox", *path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def later_calls(tree: ast.AST) -> list[int]:
    """Lines that take a timed call from a reactor."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr == "callLater"]


def imports(tree: ast.AST, names: frozenset[str]) -> set[str]:
    """The modules among ``names`` that a module imports anywhere: also for types only, also inside of functions."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in names else node.module)
    return found & names


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Modules that reach themselves, each importing the one before it; empty where there are none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def functions(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every function's name and length in lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


TREES = {name_of(path): ast.parse(path.read_text()) for path in SOURCES}


def test_timed_calls_are_taken_from_the_reactor_in_net_and_scheduling_only() -> None:
    """ruff's banned-api has the names that are imported; ``callLater`` is a method of whatever clock there is."""
    allowed = ("sandbox.net.", "sandbox.scheduling.")
    found = [
        f"{name}:{line}" for name, tree in TREES.items() if not name.startswith(allowed) for line in later_calls(tree)
    ]
    assert not found, "use sandbox.net.timers, or a job of sandbox.scheduling"


def test_modules_are_short() -> None:
    long = {name_of(path): lines for path in SOURCES if (lines := len(path.read_text().splitlines())) > MODULE}
    assert not long, f"more than {MODULE} lines: split them"


def test_functions_that_put_parts_together_are_short() -> None:
    long = [
        (f"{name}.{function}", lines)
        for name, tree in TREES.items()
        if name.startswith("sandbox.service.")
        for function, lines in functions(tree)
        if lines > FUNCTION
    ]
    assert not long, f"more than {FUNCTION} lines: make parts of them"


def test_imports_run_in_no_circle() -> None:
    """Also those that are for types only, and those inside of functions: cut a circle by a ``Protocol``."""
    names = frozenset(TREES)
    assert not circle({name: imports(tree, names) - {name} for name, tree in TREES.items()})


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("clock.callLater(1, f)", 1),
        ("later = reactor.callLater", 1),
        ("timer(clock, 1, f)", 0),
    ],
)
def test_a_timed_call_is_seen_whatever_the_clock_is_called(source: str, found: int) -> None:
    assert len(later_calls(ast.parse(source))) == found


def test_an_import_is_seen_wherever_it_is() -> None:
    source = "if TYPE_CHECKING:\n    from a import b\ndef f():\n    import a.c\nfrom a.d import E"
    assert imports(ast.parse(source), frozenset({"a", "a.b", "a.c", "a.d"})) == {"a.b", "a.c", "a.d"}


def test_a_circle_is_seen_however_long_it_is() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}
    assert circle(graph) == []
    assert set(circle({**graph, "d": {"b"}})) == set("bcd")
