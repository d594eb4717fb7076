"""The shell's part of ``./quickstart`` and ``./run-tests``: what it says when it cannot go on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.engine import ENGINE_URL

ROOT = Path(__file__).parents[2]


class ScriptTests(SynchronousTestCase):
    """Run by a real bash, with other programs in its path where the machine is to look different."""

    def setUp(self) -> None:
        """A directory of programs that come before the machine's."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.programs = Path(folder.name)

    def pretend(self, name: str, script: str) -> None:
        """Put a program in the path."""
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def bash(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run lines after the bootstrap's functions."""
        command = ["bash", "-c", f"set -euo pipefail; . {ROOT}/etc/bootstrap.sh; {script}"]
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}"}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)

    def test_user_gets_the_line_to_type(self) -> None:
        """Nothing is installed, and the rest does not run."""
        self.pretend("id", "echo 1000")
        self.pretend("apt-get", "echo called >&2")
        result = self.bash("install_packages 'The engine' docker.io iptables; echo went on")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("sudo apt-get install --no-install-recommends docker.io iptables", result.stderr)
        self.assertNotIn("called", result.stderr)

    def test_root_is_told_what_is_installed_first(self) -> None:
        """And sees the output of what failed."""
        self.pretend("id", "echo 0")
        self.pretend("apt-get", 'echo "$*"; case $* in *update) ;; *) exit 100 ;; esac')
        result = self.bash("install_packages 'The engine' docker.io")
        self.assertEqual(result.returncode, 1)
        self.assertEqual(result.stdout, "==> The engine: installing docker.io from the distribution's packages\n")
        self.assertIn("-q install --yes --no-install-recommends docker.io\n", result.stderr)
        self.assertIn("apt-get install failed", result.stderr)

    def test_old_python_is_refused(self) -> None:
        """With what is needed and what is there."""
        self.pretend("python3", "case $1 in --version) echo Python 3.9.2 ;; *) exit 1 ;; esac")
        result = self.bash(f"make_environment {self.programs}/venv")
        self.assertEqual(result.returncode, 1)
        self.assertIn("Python 3.11 or newer is needed, not Python 3.9.2", result.stderr)

    def test_missing_venv_module_is_named(self) -> None:
        """Debian keeps it in a package of its own."""
        python = shutil.which("python3")
        self.pretend("python3", f'case "$*" in *ensurepip*) exit 1 ;; *) exec {python} "$@" ;; esac')
        self.pretend("id", "echo 1000")
        result = self.bash(f"make_environment {self.programs}/venv")
        self.assertEqual(result.returncode, 1)
        self.assertIn("sudo apt-get install --no-install-recommends python3-venv", result.stderr)

    def quickstart(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run the script of a copy of what it needs, in which nothing was made yet."""
        copy = self.programs / "clone"
        shutil.copytree(ROOT / "etc", copy / "etc", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "quickstart", copy)
        environment = {**os.environ, "PATH": f"{self.programs}:{os.environ['PATH']}", **environment}
        self.addCleanup(lambda: self.assertFalse((copy / ".venv").exists(), "nothing is made"))
        return subprocess.run(
            [copy / "quickstart", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def test_f24_the_engine_is_looked_for_before_anything_is_made(self) -> None:
        """A user without the docker group does not wait for the environment to learn it."""
        python = shutil.which("python3")
        self.pretend("python3", f'case "$*" in *" venv "*) echo made >&2; exit 1 ;; *) exec {python} "$@" ;; esac')
        result = self.quickstart(DOCKER_HOST="unix:///nowhere/docker.sock")
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("No Docker engine answers at DOCKER_HOST=unix:///nowhere/docker.sock", result.stderr)
        self.assertNotIn("made", result.stderr)

    def test_f24_what_is_made_is_said_first(self) -> None:
        python = shutil.which("python3")
        self.pretend("python3", f'case "$*" in *" venv "*) exit 1 ;; *) exec {python} "$@" ;; esac')
        result = self.quickstart(DOCKER_HOST=ENGINE_URL)
        self.assertEqual(result.returncode, 1)
        self.assertRegex(result.stdout, r"(?s)\A==> .*\.venv +Python packages.*Docker engine.*==> Making a virtual")

    def test_f26_another_system_than_linux_is_refused(self) -> None:
        self.pretend("uname", "echo Darwin")
        result = self.quickstart()
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("the daemon needs Linux: this is Darwin", result.stderr)

    def test_f24_stop_makes_nothing(self) -> None:
        result = self.quickstart("--stop")
        self.assertEqual((result.returncode, result.stdout), (0, "==> Nothing was started from this checkout\n"))

    def test_commands_explain_themselves(self) -> None:
        """``--help`` makes nothing; an argument that does not exist neither."""
        for command in ("quickstart", "run-tests"):
            result = subprocess.run([ROOT / command, "--help"], capture_output=True, text=True, timeout=60, check=True)
            self.assertIn(f"./{command}", result.stdout)
        result = subprocess.run(
            [ROOT / "quickstart", "--chekc"], capture_output=True, text=True, timeout=60, check=False
        )
        self.assertEqual((result.returncode, result.stdout), (1, ""))
        self.assertIn("unknown argument --chekc", result.stderr)
