"""The suites of commands and files in the image that users get: Debian, GNU's tools, a user of its own."""

from __future__ import annotations

from sandbox.domain.model import ExecSpec
from sandbox.runtimes.docker.program import path
from tests.contracts.runtime_exec import ExecContract, OutsideLinkContract
from tests.contracts.runtime_files import FilesContract
from tests.runtimes.docker import test_agents, test_commands
from tests.session_image import ensure_session_image


class DebianTestCase(test_agents.AgentsTestCase):
    """Containers of the session image."""

    user = "sandbox"

    def setUp(self) -> None:
        """Have the image."""
        self.image = ensure_session_image()
        super().setUp()


class DebianExecTests(DebianTestCase, ExecContract, OutsideLinkContract):
    """Commands."""


class DebianFilesTests(DebianTestCase, FilesContract):
    """Files."""


class DebianKillTests(DebianTestCase, test_commands.KillTests):
    """Kills."""


class DebianPythonTests(DebianTestCase, test_commands.CommandsTestCase):
    """What sessions mostly run."""

    async def test_python_runs_as_the_images_user(self) -> None:
        script = "python3 -c 'import getpass, os; print(getpass.getuser(), os.getcwd(), os.environ[\"HOME\"])'"
        result = await self.shell(script)
        self.assertEqual(result.stdout.split()[:2], [b"sandbox", b"/workspace"])

    async def test_python_that_leads_its_own_session_and_ignores_signals_is_gone(self) -> None:
        script = (
            "python3 -c 'import os, signal, time\n"
            "for number in range(1, 32):\n"
            "    if number not in (9, 17, 19): signal.signal(number, signal.SIG_IGN)\n"
            "for _ in range(3):\n"
            "    if os.fork() == 0: os.setsid(); os.fork()\n"
            "time.sleep(1001)'"
        )
        result = await self.shell(script, timeout_ms=2000)
        self.assertEqual((result.timed_out, result.survivors), (True, 0))
        left = [line for line in self.lab.processes(self.container_id) if path() not in line]
        self.assertEqual([line for line in left if "python3" in line], [])

    async def test_a_bomb_of_hundreds_that_forks_on_is_ended(self) -> None:
        container = self.described(self.lab.container(user="sandbox", image=self.image, pids_limit=300))
        bomb = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass"
        spec = ExecSpec(argv=[b"/usr/bin/python3", b"-c", bomb.encode()], timeout_ms=2000)
        result = await self.agents(EXEC_KILL_TIMEOUT="60").execute(container, spec)
        self.assertEqual((result.timed_out, result.survivors), (True, 0))
        self.assertFalse([line for line in self.lab.processes(container.id) if "python3" in line])
