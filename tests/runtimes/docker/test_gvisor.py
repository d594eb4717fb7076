"""The suites of commands and files under gVisor (docs/how-to/gvisor.md), on an engine that has it as a runtime."""

from __future__ import annotations

from typing import Any

from sandbox.domain.model import ExecSpec
from sandbox.runtimes.docker import program
from tests.contracts.runtime_exec import ExecContract, OutsideLinkContract
from tests.contracts.runtime_files import FilesContract
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.test_agents import AgentsTestCase

#: As the how-to has it: without KVM, and with the container's network namespace as it is.
RUNSC = ("/usr/bin/runsc", "--platform=ptrace", "--network=host")


class GVisorTestCase(AgentsTestCase):
    """Containers with a kernel of their own."""

    host_config = {"runtime": "runsc"}  # noqa: RUF012

    @classmethod
    def setUpClass(cls) -> None:
        """Have an engine."""
        cls.engine = PrivateEngine(runtimes={"runsc": RUNSC})
        cls.engine.start()
        cls.engine_url = cls.engine.url

    @classmethod
    def tearDownClass(cls) -> None:
        """End it."""
        cls.engine.close()

    def made(self, **more: Any) -> str:
        """As the daemon makes it: what is copied into one that runs already is not seen by it."""
        container_id = super().made(start=False, **more)
        program.install(self.lab.engine, container_id)
        self.lab.engine.start(container_id)
        return container_id


class GVisorExecTests(GVisorTestCase, ExecContract, OutsideLinkContract):
    """Commands."""

    begun_ms = 3000

    async def test_a_tree_in_several_sessions_is_gone_when_time_is_up(self) -> None:
        """Seen from inside: the host sees the processes of gVisor, not those of the container."""
        script = b"setsid sleep 1001 & sleep 1001 & sleep 1001"
        tree = ExecSpec(argv=[b"/bin/sh", b"-c", script], timeout_ms=1500)
        result = await self.runtime.execute(self.container, tree)
        self.assertEqual((result.timed_out, result.survivors), (True, 0))
        self.assertNotIn("sleep 1001", self.lab.run(self.container_id, "ps"))


class GVisorFilesTests(GVisorTestCase, FilesContract):
    """Files."""

    def setUp(self) -> None:
        """Have pipes made inside: gVisor refuses those that the host made."""
        super().setUp()
        make = "mkfifo /workspace/{}"
        self.patch(self.scene, "fifo", lambda path: self.lab.run(self.container_id, make.format(path.decode()), "1000"))
