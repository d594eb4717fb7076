"""Finding the engine, and what a person is told where there is none."""

from __future__ import annotations

import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from quickstart.console import Console, Failed
from quickstart.engine import Engine, ensure
from quickstart.requirements import DEFAULT_URL, advise, plan, why_silent
from twisted.trial.unittest import SynchronousTestCase

from tests.engine import ENGINE_URL
from tests.session_image import ensure_session_image

ROOT = Path(__file__).parents[2]
SILENT = ConnectionError("nobody listens")


class EngineTests(SynchronousTestCase):
    """On the real engine, and on an address where there is none."""

    def test_engine_that_answers_is_used_and_left_alone(self) -> None:
        """Stopping it does nothing: it is not ours."""
        engine = ensure({"DOCKER_HOST": ENGINE_URL}, Console(), Path("/nonexistent"))
        self.assertEqual((engine.url, engine.process), (ENGINE_URL, None))
        engine.stop()
        self.assertIsNone(why_silent(ENGINE_URL))

    def test_docker_host_that_is_silent_is_not_replaced(self) -> None:
        """Whoever named an engine wants that one."""
        url = f"unix://{tempfile.gettempdir()}/no-engine-here.sock"
        failure = self.assertRaises(Failed, ensure, {"DOCKER_HOST": url}, Console(), Path("/nonexistent"))
        self.assertIn(f"DOCKER_HOST={url}", str(failure))
        self.assertIn("\n  unset DOCKER_HOST", str(failure))

    def test_f24_the_plan_says_what_is_used_and_what_is_made(self) -> None:
        root = Path(self.mktemp())
        (root / ".venv").mkdir(parents=True)
        found = dict(plan({"DOCKER_HOST": ENGINE_URL, "SESSION_IMAGE": f"nobody/{secrets.token_hex(6)}:1"}, root))
        self.assertIn("PyPI", found[".venv"])
        self.assertIn(ENGINE_URL, found["Docker engine"])
        self.assertIn("pulled", found.values())
        (root / ".venv" / ".installed").touch()
        ensure_session_image()
        found = dict(plan({"DOCKER_HOST": ENGINE_URL}, root))
        self.assertEqual((found[".venv"], found["sandbox-session:latest"]), ("there", "there"))

    def test_f24_an_address_that_the_daemon_could_not_use_is_refused(self) -> None:
        failure = self.assertRaises(Failed, plan, {"DOCKER_HOST": "ssh://machine"})
        self.assertIn("unix:///PATH or tcp://HOST:PORT", str(failure))

    def test_f24_a_user_who_may_not_use_the_engine_learns_it_first(self) -> None:
        """As a user without any group, and with a socket of our own in a directory that only root may enter."""
        folder = Path(tempfile.mkdtemp(prefix="engine-"))
        self.addCleanup(shutil.rmtree, folder)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(folder / "docker.sock"))
            listener.listen()
            program = (
                "import os, sys; from quickstart import requirements\n"
                "os.setgroups([]); os.setresuid(65534, 65534, 65534); sys.exit(requirements.main())"
            )
            done = subprocess.run(
                [sys.executable, "-P", "-c", program],
                env={"PYTHONPATH": str(ROOT / "etc"), "DOCKER_HOST": f"unix://{folder}/docker.sock"},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertIn('sudo usermod --append --groups docker "$USER"', done.stderr)

    def test_own_engine_is_ended(self) -> None:
        """By SIGTERM, and waited for."""
        process = subprocess.Popen(["sleep", "1000"])
        Engine(DEFAULT_URL, process).stop()
        self.assertEqual(process.returncode, -15)


class AdviceTests(SynchronousTestCase):
    """The exact line to type."""

    def advice(self, error: Exception = SILENT, *, root: bool = False, distribution: str = "debian ") -> str:
        """What is said for the default socket."""
        return str(self.assertRaises(Failed, advise, error, DEFAULT_URL, root=root, distribution=distribution))

    def test_user_on_debian_installs_it(self) -> None:
        """With the same packages that root would get."""
        self.assertIn("\n  sudo apt-get install --no-install-recommends docker.io iptables && sudo", self.advice())

    def test_user_outside_the_group_joins_it(self) -> None:
        """An engine that refuses is not an engine that is missing."""
        error = PermissionError(13, "Permission denied")
        self.assertIn('\n  sudo usermod --append --groups docker "$USER"', self.advice(error))

    def test_other_systems_start_their_own(self) -> None:
        """There even root gets a line only."""
        self.assertIn("\n  sudo systemctl start docker", self.advice(root=True, distribution="fedora "))

    def test_root_on_debian_and_ubuntu_goes_on(self) -> None:
        """The engine is then installed and started."""
        for distribution in ("debian ", "ubuntu debian", "linuxmint ubuntu debian"):
            advise(SILENT, DEFAULT_URL, root=True, distribution=distribution)
