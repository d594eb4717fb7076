"""Commands and files in real containers pass the suites of the seam."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from sandbox.domain.errors import ExecutionFailed
from sandbox.domain.model import Container, ContainerState, ExecSpec
from sandbox.runtimes.docker import program
from sandbox.runtimes.docker.agents import Agents
from sandbox.settings import parse
from tests.contracts.runtime_exec import ExecContract, OutsideLinkContract
from tests.contracts.runtime_files import FilesContract
from tests.engine import BUSYBOX, ENGINE_URL, EngineTestCase
from tests.waiting import until


class HostScene:
    """Makes things in the directory of the host that is bound to ``/workspace``."""

    def __init__(self, owner: int) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="workspace-"))
        self.owner = owner
        os.chown(self.root, owner, owner)
        self.root.chmod(0o755)

    def at(self, path: bytes) -> bytes:
        """The host's path."""
        return os.path.join(os.fsencode(self.root), path)

    def link(self, path: bytes, target: bytes) -> None:
        """As ``Scene.link``."""
        os.symlink(target, self.at(path))

    def fifo(self, path: bytes) -> None:
        """As ``Scene.fifo``."""
        os.mkfifo(self.at(path))

    def directory(self, path: bytes) -> None:
        """As ``Scene.directory``."""
        os.mkdir(self.at(path))
        os.chown(self.at(path), self.owner, self.owner)

    def file(self, path: bytes, content: bytes, modified_ns: int) -> None:
        """As ``Scene.file``."""
        Path(os.fsdecode(self.at(path))).write_bytes(content)
        os.chown(self.at(path), self.owner, self.owner)
        os.utime(self.at(path), ns=(modified_ns, modified_ns))

    def remove(self) -> None:
        """Take it all away."""
        shutil.rmtree(self.root)


def run_python(text: str, *arguments: str) -> subprocess.Popen[bytes]:
    """A Python program beside this one, with the same modules; its output is to be read."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, "-c", text, *arguments], env=environment, stdout=subprocess.PIPE)


class AgentsTestCase(EngineTestCase):
    """Agents, and a container whose workspace is a directory of the host.

    :cvar user: the container's configured user.
    :cvar image: its image.
    """

    user = "session"
    image = BUSYBOX
    settings: dict[str, str] = {}  # noqa: RUF012 - a constant of each class
    host_config: dict[str, Any] = {}  # noqa: RUF012

    def setUp(self) -> None:
        """Make them."""
        super().setUp()
        self.runtime = self.agents()
        self.scene = HostScene(owner=1000 if self.user else 0)
        self.addCleanup(self.scene.remove)
        self.container_id = self.made()
        self.container = self.described(self.container_id)

    def made(self, **more: Any) -> str:
        """The container."""
        binds = [f"{self.scene.root}:/workspace"]
        return self.lab.container(user=self.user, image=self.image, binds=binds, **self.host_config, **more)

    def agents(self, **settings: str) -> Agents:
        """Agents of a daemon of its own."""
        environment = {"INTERNAL_SERVICE_KEY": "x", "DOCKER_HOST": self.engine_url, **self.settings, **settings}
        agents = Agents(reactor, parse(environment))
        self.addCleanup(agents.close)
        return agents

    def described(self, container_id: str) -> Container:
        """The container as the runtime would know it."""
        found = self.lab.engine.inspect_container(container_id)
        return Container(
            id=container_id,
            session_id="s1",
            state=ContainerState(found["State"]["Status"]),
            image=self.image,
            started_at=found["State"]["StartedAt"],
            user=found["Config"]["User"],
        )

    async def until(self, condition: Any) -> None:
        """Wait for something to be true that the engine is asked for."""
        await until(condition, interval=0.1)

    def processes(self, text: str) -> list[str]:
        """What runs in the container with this text in its command line."""
        return [line for line in self.lab.processes(self.container_id) if text in line]


class ProgramTests(EngineTestCase):
    """The agent's program in a container that is made of nothing else."""

    async def test_it_is_a_main_process_that_reaps_and_ends_when_told(self) -> None:
        agents = Agents(reactor, parse({"INTERNAL_SERVICE_KEY": "x", "DOCKER_HOST": ENGINE_URL}))
        self.addCleanup(agents.close)
        for init in (True, False):
            container_id = self.lab.container(command=program.idle_command(), start=False, init=init)
            await agents.install(container_id)
            self.lab.engine.start(container_id)
            self.lab.run(container_id, "(setsid sleep 0.1 &) ; sleep 0.5")
            left = self.lab.processes(container_id)
            self.assertFalse([line for line in left if line.startswith("Z")], left)
            # With SIGKILL at the end of the engine's patience it would be 137.
            await deferToThread(self.lab.engine.stop, container_id, timeout=30)
            self.assertIn(self.lab.engine.inspect_container(container_id)["State"]["ExitCode"], (15, 143))

    async def test_it_works_in_an_image_that_has_nothing(self) -> None:
        agents = Agents(reactor, parse({"INTERNAL_SERVICE_KEY": "x", "DOCKER_HOST": ENGINE_URL}))
        self.addCleanup(agents.close)
        empty = io.BytesIO()
        with tarfile.open(fileobj=empty, mode="w") as tar:
            workspace = tarfile.TarInfo("workspace")
            workspace.type, workspace.mode = tarfile.DIRTYPE, 0o755
            tar.addfile(workspace)
        image = f"sandbox-test-empty:{self.lab.token}"
        repository, tag = image.split(":")
        self.lab.engine.import_image_from_data(empty.getvalue(), repository=repository, tag=tag)
        self.addCleanup(self.lab.engine.remove_image, image)
        container_id = self.lab.container(image=image, command=program.idle_command(), start=False)
        self.addCleanup(self.lab.engine.remove_container, container_id, force=True)
        await agents.install(container_id)
        self.lab.engine.start(container_id)
        started_at = self.lab.engine.inspect_container(container_id)["State"]["StartedAt"]
        container = Container(
            id=container_id, session_id="s1", state=ContainerState.RUNNING, image=image, started_at=started_at
        )
        await agents.write_file(container, b"file", b"text")
        self.assertEqual((await agents.read_file(container, b"file", 10)).content, b"text")
        with self.assertRaises(ExecutionFailed) as caught:
            await agents.execute(container, ExecSpec(argv=[b"/bin/sh", b"-c", b"true"]))
        self.assertEqual(caught.exception.reason_code, "COMMAND_NOT_FOUND")


class UserExecTests(ExecContract, OutsideLinkContract, AgentsTestCase):
    """Commands of an image with a user of its own."""


class UserFilesTests(FilesContract, AgentsTestCase):
    """Files of an image with a user of its own."""


class RootExecTests(ExecContract, OutsideLinkContract, AgentsTestCase):
    """Commands of an image that runs as root."""

    user = ""


class RootFilesTests(FilesContract, AgentsTestCase):
    """Files of an image that runs as root."""

    user = ""


class UnprivilegedExecTests(ExecContract, OutsideLinkContract, AgentsTestCase):
    """Commands where even root has no capabilities: the agent runs as the container's user."""

    host_config = {"cap_drop": ["ALL"]}  # noqa: RUF012


class UnprivilegedFilesTests(FilesContract, AgentsTestCase):
    """Files where even root has no capabilities."""

    host_config = {"cap_drop": ["ALL"]}  # noqa: RUF012
