"""Which tests are unit tests, and that these cannot reach out of their process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.tiers import OUTSIDE, ROOT, outside, refusal

ENGINE = "unix:///var/run/docker.sock"
#: What a unit test must not do, and what it may.
REFUSED = {
    "the engine": "import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
    "a container": "import socket; socket.socket().connect(('192.0.2.1', 80))",
    "by docker-py": "import docker; docker.APIClient('unix:///var/run/docker.sock', version='1.41').ping()",
    "dockerd": "import subprocess; subprocess.run(['dockerd'])",
    "PostgreSQL": "import subprocess; subprocess.Popen(['/usr/lib/postgresql/15/bin/postgres'])",
    "a browser": "import os; os.posix_spawn('/usr/bin/chromium', ['chromium'], {})",
    "twistd": "import subprocess, sys; subprocess.run([sys.executable, '-m', 'twisted', 'sandbox'])",
    "a shell": "import os; os.system('true')",
    "a fork": "import os; os.fork() or os._exit(0)",
}
ALLOWED = {
    "Python": "import subprocess, sys; subprocess.run([sys.executable, '-c', ''], check=True)",
    "loopback": "import socket; port = socket.create_server(('127.0.0.1', 0)); "
    "socket.create_connection(port.getsockname())",
}


class Classification(SynchronousTestCase):
    def needs(self, text: str) -> str | None:
        """What a file of this text needs."""
        path = Path(self.mktemp()).absolute()
        path.write_text(text)
        return outside(path)

    def test_each_way_outside_is_a_module_that_there_is(self) -> None:
        """Of one that was renamed nobody would be kept."""
        for name in OUTSIDE:
            if name.startswith("tests."):
                place = ROOT.joinpath(*name.split("."))
                self.assertTrue(place.is_dir() or place.with_suffix(".py").exists(), name)

    def test_imports_count_however_they_are_written_and_wherever(self) -> None:
        for text in (
            "import tests.engine",
            "from tests import engine",
            "from tests.engine import Lab",
            "def test():\n    from tests.engine import Lab",
        ):
            self.assertEqual(self.needs(text), "a Docker engine", text)
        self.assertEqual(self.needs("import tests.browser.guarded"), "a browser")
        self.assertIsNone(self.needs("import tests.enginery, sandbox.runtimes.docker.engine"))

    def test_imports_of_imports_count(self) -> None:
        self.assertEqual(self.needs("from tests.runtimes.docker.site import SiteTestCase"), "a Docker engine")
        self.assertEqual(self.needs("from tests.gateway.test_access_on_postgres import x"), "a PostgreSQL server")
        self.assertIsNone(self.needs("from tests.gateway.stage import GatewayCase"))

    def test_a_file_can_say_so(self) -> None:
        self.assertIsNotNone(self.needs("import pytest\npytestmark = pytest.mark.integration\n"))


class Fences(SynchronousTestCase):
    def test_what_is_refused_fails_the_test_even_where_it_is_caught(self) -> None:
        actions = [*REFUSED.values(), *ALLOWED.values()]
        said = self.run_unit_tests(
            "".join(
                f"def test_{number:02}():\n    try:\n        {action}\n    except Exception:\n        pass\n"
                for number, action in enumerate(actions)
            )
        )
        self.assertIn(f"\n{len(actions)} passed, {len(REFUSED)} errors in ", said)
        failed = re.findall(r"ERROR test_reaching\.py::test_(\d+)", said)
        self.assertEqual([int(number) for number in failed], list(range(len(REFUSED))), said)

    def test_the_engine_may_be_anywhere(self) -> None:
        for engine, address in (
            ("tcp://127.0.0.1:2375", ("127.0.0.1", 2375)),
            ("unix:///tmp/sandbox-tests.x/docker.sock", "/tmp/sandbox-tests.x/docker.sock"),
            (ENGINE, b"/run/docker.sock"),
        ):
            self.assertIsNotNone(refusal("socket.connect", (None, address), engine))
        for address in (("127.0.0.1", 80), ("::1", 80, 0, 0), ("::ffff:127.0.0.1", 80, 0, 0), "/tmp/x/socket"):
            self.assertIsNone(refusal("socket.connect", (None, address), ENGINE))

    def run_unit_tests(self, text: str) -> str:
        """What pytest says of a file as of a unit test."""
        directory = Path(self.mktemp()).absolute()
        directory.mkdir()
        (directory / "test_reaching.py").write_text(text)
        (directory / "pytest.ini").touch()
        command = [sys.executable, "-m", "pytest", "-p", "tests.tiers", "--tier", "unit", "-q", "test_reaching.py"]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "DOCKER_HOST": ENGINE,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        done = subprocess.run(
            command, cwd=directory, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return done.stdout + done.stderr
