"""Commands and files of in-memory containers: programs written in Python, and a file tree per container."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from time import time_ns
from typing import TypeVar

import attrs
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from sandbox.domain.errors import AnswerMemoryExhausted, ContainerNotRunning, DirectoryUnusable, ExecutionFailed
from sandbox.domain.model import Container, Entry, ExecResult, ExecSpec, FileContent
from sandbox.net.timers import timer
from sandbox.policy.budget import STEP, Growth, Share
from sandbox.policy.paths import display_name
from sandbox.runtimes.memory.workspace import Workspace

T = TypeVar("T")


class Process:
    """One run of a program.

    :ivar spec: specification of the command.
    :ivar workspace: the container's files.
    :ivar clock: clock for programs that take time.
    """

    def __init__(self, spec: ExecSpec, workspace: Workspace, clock: IReactorTime, share: Share | None = None) -> None:
        self.spec = spec
        self.workspace = workspace
        self.clock = clock
        self.output = {1: b"", 2: b""}
        self.truncated = False
        self._growth = {stream: Growth(share, STEP) for stream in self.output}
        self._full: set[int] = set()

    def write(self, text: bytes, stream: int = 1) -> None:
        """Print to stdout (1) or stderr (2); output beyond the limit or the memory budget is dropped."""
        whole = self.output[stream] + text
        kept = whole[: self.spec.output_limit]
        if stream in self._full or not self._growth[stream].fits(len(kept)):
            self._full.add(stream)
            self.truncated = True
        else:
            self.output[stream] = kept
            self.truncated |= len(whole) > self.spec.output_limit


#: Returns an exit code, or minus a signal's number. Cancelling it kills the process.
Program = Callable[[Process], Awaitable[int]]

_SIGNALS = {9: "SIGKILL", 15: "SIGTERM"}


@attrs.define(eq=False)
class _Run:
    container_id: str
    ended: Deferred[int]
    reason: str = ""


class MemoryAgents:
    """``IProcesses`` and ``IFiles``, which happen inside containers.

    :param programs: programs by name, which is ``argv[0]``.
    :param directory_limit: maximum number of entries of a directory that can be listed.
    """

    def __init__(
        self, clock: IReactorTime, programs: Mapping[bytes, Program], *, directory_limit: int = 20_000
    ) -> None:
        self.programs = dict(programs)
        self._clock = clock
        self._directory_limit = directory_limit
        self._workspaces: dict[str, Workspace] = {}
        self._runs: set[_Run] = set()

    def workspace(self, container_id: str) -> Workspace:
        """A container's files, for tests to prepare."""
        if container_id not in self._workspaces:
            self._workspaces[container_id] = Workspace(time_ns)
        return self._workspaces[container_id]

    def drop(self, container_id: str) -> None:
        """Kill the processes of a stopped container."""
        self._kill([run for run in self._runs if run.container_id == container_id], "dropped")

    def close(self) -> Deferred[None]:
        """Kill all processes."""
        self._kill(list(self._runs), "closed")
        return succeed(None)

    def execute(self, container: Container, spec: ExecSpec, share: Share | None = None) -> Deferred[ExecResult]:
        """As ``IProcesses.execute``."""
        return Deferred.fromCoroutine(self._execute(container, spec, share))

    def read_file(
        self, container: Container, path: bytes, limit: int, share: Share | None = None
    ) -> Deferred[FileContent]:
        """As ``IFiles.read_file``."""

        def read() -> FileContent:
            found = self.workspace(container.id).read(path, limit)
            _hold(share, found.size)
            return found

        return _call(read)

    def write_file(self, container: Container, path: bytes, content: bytes) -> Deferred[int]:
        """As ``IFiles.write_file``."""
        return _call(lambda: self.workspace(container.id).write(path, content))

    def list_directory(
        self, container: Container, path: bytes, share: Share | None = None
    ) -> Deferred[Sequence[Entry]]:
        """As ``IFiles.list_directory``."""

        def read() -> Sequence[Entry]:
            found = self.workspace(container.id).list(path, self._directory_limit)
            _hold(share, sum(entry.weight for entry in found))
            return found

        return _call(read)

    def stat(self, container: Container, path: bytes) -> Deferred[Entry | None]:
        """As ``IFiles.stat``."""
        return _call(lambda: self.workspace(container.id).stat(path))

    async def _execute(self, container: Container, spec: ExecSpec, share: Share | None) -> ExecResult:
        program = self.programs.get(spec.argv[0])
        if program is None:
            name = spec.argv[0].decode("utf-8", "replace")
            raise ExecutionFailed(f"{name}: No such file or directory", "COMMAND_NOT_FOUND")
        self._check_directory(container, spec.cwd)
        process = Process(spec, self.workspace(container.id), self._clock, share)
        begun = self._clock.seconds()
        ended: Deferred[int] = Deferred.fromCoroutine(_run(program, process))
        run = _Run(container.id, ended)
        self._runs.add(run)
        limit = timer(self._clock, spec.timeout_ms / 1000, self._kill, [run], "timed out")
        try:
            code = await ended
        except CancelledError:
            if run.reason == "dropped":
                raise ContainerNotRunning(container.session_id) from None
            if run.reason == "closed":
                raise ExecutionFailed("the daemon is stopping", "STOPPING") from None
            if not run.reason:
                raise
            code = -9
        finally:
            self._runs.discard(run)
            limit.stop()
        return ExecResult(
            exit_code=code if code >= 0 else 128 - code,
            signal=None if code >= 0 else _SIGNALS[-code],
            stdout=process.output[1],
            stderr=process.output[2],
            duration_ms=round((self._clock.seconds() - begun) * 1000),
            truncated=process.truncated,
            timed_out=run.reason == "timed out",
        )

    def _check_directory(self, container: Container, cwd: bytes) -> None:
        # Directories outside the workspace are not simulated.
        if cwd.startswith(b"/"):
            return
        found = self.workspace(container.id).stat(cwd + b"/")
        if found is None:
            raise DirectoryUnusable("No such file or directory", display_name(cwd))

    def _kill(self, runs: Sequence[_Run], reason: str) -> None:
        for run in runs:
            run.reason = reason
            run.ended.cancel()


def _hold(share: Share | None, size: int) -> None:
    if not Growth(share).fits(size):
        raise AnswerMemoryExhausted


async def _run(program: Program, process: Process) -> int:
    return await program(process)


def _call(work: Callable[[], T]) -> Deferred[T]:
    async def run() -> T:
        return work()

    return Deferred.fromCoroutine(run())
