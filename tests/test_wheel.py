"""What is shipped: the wheel's contents, what it declares, and the plugin that ``twistd`` finds in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from sandbox.settings import variables

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[1]
SOURCES = ("LICENSE", "README.md", "pyproject.toml", "setup.py", "sandbox", "twisted/plugins/sandbox_plugin.py")


def _build(folder: Path) -> Path:
    """The wheel, built from a copy of what it is made from: setuptools would pack a stale ``build`` directory too."""
    copy = folder / "source"
    for name in SOURCES:
        target = copy / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, target)
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--no-deps", "--no-build-isolation"]
    subprocess.run([*command, "--wheel-dir", folder, copy], check=True, capture_output=True, timeout=120)
    (wheel,) = folder.glob("*.whl")
    return wheel


class WheelTests(SynchronousTestCase):
    """The wheel, unpacked somewhere that is not the checkout.

    :cvar names: the paths in it.
    :cvar site: where it is unpacked, as an installer would.
    """

    folder: Path
    site: Path
    names: list[str]

    @classmethod
    def setUpClass(cls) -> None:
        """Build and unpack it once."""
        cls.folder = Path(tempfile.mkdtemp(prefix="wheel-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.site = cls.folder / "site"
        (cls.folder / "elsewhere").mkdir()
        with zipfile.ZipFile(_build(cls.folder)) as wheel:
            cls.names = wheel.namelist()
            wheel.extractall(cls.site)

    def twistd(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run this environment's ``twistd`` with the wheel, in a directory that has nothing to do with either."""
        known = {variable.name for variable in variables()}
        inherited = {name: value for name, value in os.environ.items() if name not in known}
        return subprocess.run(
            [Path(sys.executable).with_name("twistd"), *arguments],
            cwd=self.folder / "elsewhere",
            env={**inherited, "PYTHONPATH": str(self.site), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def test_twistd_help_lists_the_plugin(self) -> None:
        """``twistd --help`` outside the checkout lists ``sandbox`` with its one-line description."""
        result = self.twistd("--help")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"(?m)^\s+sandbox\s+\S.*container")

    def test_twistd_sandbox_help_explains_every_option_and_variable(self) -> None:
        """Every variable is there with its help's first words, and so is ``--listen``."""
        result = self.twistd("sandbox", "--help")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("--listen", result.stdout)
        for variable in variables():
            self.assertRegex(result.stdout, rf"(?m)^\s+{variable.name}\n\s+{re.escape(variable.help.split()[0])}")

    def test_the_sandbox_command_is_installed(self) -> None:
        """The wheel declares the console script, and what it names runs, without anything of Twisted's."""
        (path,) = self.site.glob("*.dist-info/entry_points.txt")
        self.assertEqual(path.read_text().split(), ["[console_scripts]", "sandbox", "=", "sandbox.cli.main:main"])
        program = "import sys; from sandbox.cli.main import main; assert 'twisted' not in sys.modules; main()"
        result = subprocess.run(
            [sys.executable, "-P", "-c", program, "--version"],
            cwd=self.folder / "elsewhere",
            env={**os.environ, "PYTHONPATH": str(self.site)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertRegex(result.stdout, r"^sandbox, version \d")

    def test_start_without_the_key_is_refused_in_one_line(self) -> None:
        """Contract section 1: it says which variable is missing and exits non-zero."""
        result = self.twistd("--nodaemon", "--pidfile=", "sandbox")
        self.assertNotEqual(result.returncode, 0)
        self.assertEqual(len(result.stderr.strip().splitlines()), 1, result.stderr)
        self.assertIn("INTERNAL_SERVICE_KEY", result.stderr)

    def test_the_whole_package_is_packed(self) -> None:
        """Modules, the type marker, SQL, the agent for both kinds of machine, and the plugin."""
        found = [path for path in ROOT.glob("sandbox/**/*") if path.is_file() and "__pycache__" not in path.parts]
        # A program in a directory that is no package (what builds the agent) is for the checkout.
        tools = [path for path in found if path.suffix == ".py" and not (path.parent / "__init__.py").exists()]
        wanted = {path.relative_to(ROOT).as_posix() for path in found if path not in tools}
        wanted.add("twisted/plugins/sandbox_plugin.py")
        self.assertEqual(wanted - set(self.names), set())
        for machine in ("x86_64", "aarch64"):
            self.assertIn(f"sandbox/runtimes/docker/agent/bin/agent-{machine}", self.names)

    def test_nothing_else_is_packed(self) -> None:
        """No tests, tools or caches; and no ``__init__.py`` that would replace Twisted's own packages."""
        shipped = [name for name in self.names if ".dist-info/" not in name]
        self.assertEqual([name for name in shipped if not name.startswith(("sandbox/", "twisted/plugins/"))], [])
        self.assertEqual(
            [name for name in shipped if name.startswith("twisted/")], ["twisted/plugins/sandbox_plugin.py"]
        )
        self.assertEqual([name for name in shipped if name.endswith((".pyc", ".pyo", "dropin.cache"))], [])

    def test_metadata_names_licence_and_python(self) -> None:
        """The licence's text comes along, and the Python versions are declared."""
        (path,) = self.site.glob("*.dist-info/METADATA")
        metadata = path.read_text()
        self.assertIn("\nLicense-Expression: MIT\n", metadata)
        self.assertIn("\nRequires-Python: >=3.11\n", metadata)
        self.assertTrue(any(name.endswith("/licenses/LICENSE") for name in self.names))
