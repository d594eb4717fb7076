"""What the project says that it needs is what it needs; ``test_wheel`` looks at what is shipped."""

from __future__ import annotations

import ast
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).parents[1]


@cache
def _project() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


#: The oldest versions without security holes that were known when the bound was last looked at. Advisories cannot be
#: fetched where CI runs; `pip-audit --requirement requirements.lock` asks them.
WITHOUT_KNOWN_HOLES = {
    "cryptography": "48.0.1",
    "h11": "0.16",
    "pyjwt": "2.13",
    "requests": "2.32.4",
    "setuptools": "78.1.1",
    "twisted": "26.4",
    "urllib3": "2.7",
    "werkzeug": "3.1.6",
}


class DependencyTests(SynchronousTestCase):
    """What the project says it needs is what it needs."""

    def requirements(self) -> list[Requirement]:
        """Everything that is declared, the extras included."""
        project = _project()
        extras = [line for lines in project["optional-dependencies"].values() for line in lines]
        return [Requirement(line) for line in [*project["dependencies"], *extras]]

    def locked(self) -> dict[str, str]:
        """The lock file's versions by canonical name."""
        lines = (ROOT / "requirements.lock").read_text().splitlines()
        pinned = [Requirement(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]
        return {canonicalize_name(line.name): str(line.specifier).removeprefix("==") for line in pinned}

    def test_every_dependency_has_a_lower_bound(self) -> None:
        """And no upper one: the lock file says what CI runs."""
        bounds = {str(line): [part.operator for part in line.specifier] for line in self.requirements()}
        self.assertEqual({name: found for name, found in bounds.items() if found != [">="]}, {})

    def test_f47_no_lower_bound_admits_a_version_with_a_known_hole(self) -> None:
        """Neither the project's own bounds, nor what builds it, nor the lock file."""
        built = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
        bounds: dict[str, list[Version]] = {}
        for line in [*self.requirements(), *map(Requirement, built)]:
            (bound,) = line.specifier
            bounds.setdefault(canonicalize_name(line.name), []).append(Version(bound.version))
        locked = self.locked()
        for name, oldest in WITHOUT_KNOWN_HOLES.items():
            self.assertIn(name, bounds)
            for version in [*bounds[name], Version(locked[name])]:
                self.assertGreaterEqual(version, Version(oldest), name)

    def test_lock_satisfies_what_is_declared(self) -> None:
        """Each declared dependency is in the lock file, with a version that its bound allows."""
        locked = self.locked()
        for line in self.requirements():
            version = locked.get(canonicalize_name(line.name))
            self.assertIsNotNone(version, f"{line.name} is not in requirements.lock: run tox -e lock")
            self.assertTrue(line.specifier.contains(version), f"{line} does not allow {version}: run tox -e lock")

    def test_every_import_is_declared(self) -> None:
        """A library that only comes along with another one may stay away some day."""
        project = _project()
        self.assertEqual(self.undeclared("sandbox", project["dependencies"]), set())
        tested = [*project["dependencies"], *project["optional-dependencies"]["tests"]]
        self.assertEqual(self.undeclared("tests", tested), set())

    def undeclared(self, folder: str, requirements: list[str]) -> set[str]:
        """What modules import of libraries that are installed and not among the requirements."""
        declared = {canonicalize_name(Requirement(line).name) for line in requirements}
        owners = packages_distributions()
        missing = set()
        for path in ROOT.glob(f"{folder}/**/*.py"):
            for name in _imports(ast.parse(path.read_text())):
                known = {canonicalize_name(owner) for owner in owners.get(name.split(".")[0], [])}
                if name.startswith("zope."):
                    known = {canonicalize_name(name)}
                if known and not known & declared:
                    missing.add(f"{path.relative_to(ROOT)}: {name}")
        return missing


def _imports(tree: ast.AST) -> set[str]:
    """The top-level names that a module imports; of zope's, which share one, the first two parts."""
    found = set()
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            found.add(".".join(parts[:2]) if parts[0] == "zope" else parts[0])
    return found - {"sandbox"}
