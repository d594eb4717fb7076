"""The suites of commands and files under gVisor (docs/how-to/gvisor.md), on an engine that has it as a runtime."""

from __future__ import annotations

from typing import Any

from sandbox.runtimes.docker import program
from tests.contracts.runtime_exec import ExecContract, OutsideLinkContract
from tests.contracts.runtime_files import FilesContract
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.test_agents import AgentsTestCase

#: As the how-to has it: without KVM, and with the container's network namespace as it is.
RUNSC = ("/tmp/h-bin/runsc", "--platform=ptrace", "--network=host")


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


class GVisorFilesTests(GVisorTestCase, FilesContract):
    """Files."""

    def setUp(self) -> None:
        """Have pipes made inside: one of the host's in a directory that is bound is none for gVisor."""
        super().setUp()
        self.scene.fifo = lambda path: self.lab.run(  # type: ignore[method-assign]
            self.container_id, f"mkfifo /workspace/{path.decode()}", user="1000"
        )
