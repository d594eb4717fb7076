"""Finding the engine, and what a person is told where there is none."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from quickstart.console import Console, Failed
from quickstart.engine import DEFAULT_URL, Engine, advise, ensure, why_silent
from twisted.trial.unittest import SynchronousTestCase

from tests.engine import ENGINE_URL

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
