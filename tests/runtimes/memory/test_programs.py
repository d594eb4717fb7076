"""The in-memory twin of commands and files passes the suites of the real ones."""

from __future__ import annotations

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from sandbox.domain.model import Container, ContainerState
from sandbox.runtimes.memory.programs import MemoryAgents, Process
from sandbox.runtimes.memory.workspace import Directory, File, Special, SymbolicLink, Workspace
from tests.contracts.runtime_exec import SCRIPTS, ExecContract, OutsideLinkContract
from tests.contracts.runtime_files import FilesContract


async def shell(process: Process) -> int:
    """Plays the scripts of the suite."""
    script = {text.encode(): name for name, text in SCRIPTS.items()}[process.spec.argv[2]]
    match script:
        case "both":
            process.write(b"out")
            process.write(b"err", 2)
        case "three":
            return 3
        case "binary":
            process.write(b"\xff\0\x80")
        case "million":
            process.write(bytes(1_000_000))
        case "exactly":
            process.write(bytes(1000))
        case "variable":
            process.write(process.spec.env["GREETING"].encode())
        case "terminated":
            return -15
        case "sleeping":
            process.write(b"begun")
            await deferLater(process.clock, 1000)
    return 0


class MemoryScene:
    """Sets nodes into the tree."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def link(self, path: bytes, target: bytes) -> None:
        """As ``Scene.link``."""
        self._workspace.put(path, SymbolicLink(target, 0))

    def fifo(self, path: bytes) -> None:
        """As ``Scene.fifo``."""
        self._workspace.put(path, Special(0))

    def directory(self, path: bytes) -> None:
        """As ``Scene.directory``."""
        self._workspace.put(path, Directory(0))

    def file(self, path: bytes, content: bytes, modified_ns: int) -> None:
        """As ``Scene.file``."""
        self._workspace.put(path, File(content, modified_ns))


class MemoryTestCase(TestCase):
    """One container in memory."""

    timeout = 60

    def setUp(self) -> None:
        """Make it."""
        self.runtime = MemoryAgents(reactor, {b"/bin/sh": shell})
        self.container = Container(id="c1", session_id="s1", state=ContainerState.RUNNING, image="i")
        self.scene = MemoryScene(self.runtime.workspace("c1"))
        self.addCleanup(self.runtime.close)


class MemoryExecTests(ExecContract, OutsideLinkContract, MemoryTestCase):
    """Commands."""


class MemoryFilesTests(FilesContract, MemoryTestCase):
    """Files."""
