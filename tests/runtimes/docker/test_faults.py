"""Containers, agents and engines that fail in the middle of it."""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from sandbox.domain.errors import (
    ContainerNotFound,
    ContainerNotRunning,
    EngineError,
    EngineUnavailable,
    ExecutionFailed,
    SandboxError,
    WorkspaceError,
)
from sandbox.domain.model import Container, ExecResult, ExecSpec
from sandbox.runtimes.docker import program
from tests.engine import ENGINE_URL, Lab
from tests.private_engine import PrivateEngine
from tests.runtimes.docker.test_agents import AgentsTestCase, run_python
from tests.runtimes.docker.test_commands import AGENTS

TRUE = ExecSpec(argv=[b"/bin/true"])


def shell(script: str, **spec: Any) -> ExecSpec:
    """A script to run."""
    return ExecSpec(argv=[b"/bin/sh", b"-c", script.encode()], **spec)


class FaultsTestCase(AgentsTestCase):
    """Shorthands."""

    async def fails(self, operation: Deferred[Any], kind: type[SandboxError], code: str) -> SandboxError:
        """It fails with this error and code."""
        with self.assertRaises(kind) as caught:
            await operation
        self.assertEqual(caught.exception.reason_code, code)
        return caught.exception

    async def running(self, script: str = "echo begun; sleep 1001", **spec: Any) -> Deferred[ExecResult]:
        """A command that has begun."""
        deferred = self.runtime.execute(self.container, shell(script, **spec))
        await self.until(lambda: any("sleep 1001" in line for line in self.lab.processes(self.container_id)))
        return deferred


class ContainerFaults(FaultsTestCase):
    """The container changes under the command."""

    async def test_killed_meanwhile(self) -> None:
        running = await self.running()
        self.lab.engine.kill(self.container_id)
        await self.fails(running, ContainerNotRunning, "CONTAINER_NOT_RUNNING")
        await self.fails(self.runtime.execute(self.container, TRUE), ContainerNotRunning, "CONTAINER_NOT_RUNNING")
        await self.fails(self.runtime.stat(self.container, b"."), ContainerNotRunning, "CONTAINER_NOT_RUNNING")

    async def test_removed_meanwhile(self) -> None:
        running = await self.running()
        await deferToThread(self.lab.engine.remove_container, self.container_id, force=True)
        with self.assertRaises((ContainerNotFound, ContainerNotRunning)):
            await running
        await self.fails(self.runtime.stat(self.container, b"."), ContainerNotFound, "CONTAINER_NOT_FOUND")

    async def test_restarted_meanwhile(self) -> None:
        running = await self.running()
        await deferToThread(self.lab.engine.restart, self.container_id, timeout=0)
        await self.fails(running, ContainerNotRunning, "CONTAINER_NOT_RUNNING")
        again = self.described(self.container_id)
        self.assertEqual((await self.runtime.execute(again, TRUE)).exit_code, 0)

    async def test_paused_meanwhile_and_time_is_up(self) -> None:
        runtime = self.agents(EXEC_KILL_TIMEOUT="0.2")
        await runtime.execute(self.container, TRUE)
        running = runtime.execute(self.container, shell("echo begun; sleep 1001", timeout_ms=3000))
        await self.until(lambda: self.processes("sleep 1001"))
        self.lab.engine.pause(self.container_id)
        result = await running
        self.assertEqual((result.timed_out, result.survivors, result.stdout), (True, 1, b"begun\n"))
        await self.fails(self.agents().execute(self.container, TRUE), ContainerNotRunning, "CONTAINER_PAUSED")
        self.lab.engine.unpause(self.container_id)
        await self.until(lambda: not self.processes("sleep 1001"))
        self.assertEqual((await runtime.execute(self.container, TRUE)).exit_code, 0)

    async def test_a_file_operation_in_a_paused_container(self) -> None:
        runtime = self.agents(FILE_TIMEOUT="0.5")
        await runtime.stat(self.container, b".")
        self.lab.engine.pause(self.container_id)
        await self.fails(runtime.stat(self.container, b"."), ContainerNotRunning, "CONTAINER_PAUSED")
        self.lab.engine.unpause(self.container_id)
        self.assertIsNotNone(await runtime.stat(self.container, b"."))

    async def test_not_running_from_the_start(self) -> None:
        container = self.described(self.lab.container(start=False))
        for operation in (
            self.runtime.execute(container, TRUE),
            self.runtime.read_file(container, b"x", 1),
            self.runtime.write_file(container, b"x", b""),
            self.runtime.list_directory(container, b"."),
            self.runtime.stat(container, b"."),
        ):
            await self.fails(operation, ContainerNotRunning, "CONTAINER_NOT_RUNNING")

    async def test_f45_the_containers_working_directory_is_gone(self) -> None:
        container_id = self.lab.container(user="session")
        self.lab.run(container_id, "rmdir /workspace")
        container = self.described(container_id)
        result = await self.runtime.execute(container, shell("pwd", cwd=b"/tmp"))
        self.assertEqual((result.exit_code, result.stdout), (0, b"/tmp\n"))
        await self.fails(self.runtime.stat(container, b"."), WorkspaceError, "NO_WORKSPACE")


class ImageFaults(FaultsTestCase):
    """The container gives the agent nothing to work with, or its user is hostile to it."""

    user = ""

    async def test_a_read_only_root_is_said(self) -> None:
        container = self.described(self.lab.container(read_only=True))
        error = await self.fails(self.runtime.execute(container, TRUE), EngineError, "AGENT_UNAVAILABLE")
        self.assertIn("read-only", error.message)

    async def test_a_program_of_another_machine_is_said(self) -> None:
        self.lab.run(self.container_id, f"printf 'no program' > {program.path()}; chmod +x {program.path()}")
        error = await self.fails(self.runtime.execute(self.container, TRUE), EngineError, "AGENT_UNAVAILABLE")
        self.assertIn("exec format error", error.message)

    async def test_a_program_that_may_not_run_is_said(self) -> None:
        await self.runtime.install(self.container_id)
        self.lab.run(self.container_id, f"chmod 644 {program.path()}")
        error = await self.fails(self.runtime.execute(self.container, TRUE), EngineError, "AGENT_UNAVAILABLE")
        self.assertIn("permission denied", error.message)

    async def test_agents_that_lie_are_let_go(self) -> None:
        for script in (
            "exit 0",
            "echo hello",
            "cat /dev/urandom",
            "cat /dev/zero",
            r"read -n 9 x; printf '\0\0\0\1\0\0\0\1h\1'",  # another version
            r"read -n 9 x; printf '\0\0\0\1\0\0\0\1h\2'; cat /dev/zero",  # endless frames after a good greeting
        ):
            container_id = self.lab.container()
            self.lab.run(
                container_id, f"cat > {program.path()} <<'E'\n#!/bin/sh\n{script}\nE\nchmod 755 {program.path()}"
            )
            outcome = await self.runtime.execute(self.described(container_id), TRUE).addErrback(lambda f: f.value)
            self.assertIsInstance(outcome, EngineError | ExecutionFailed)

    async def test_more_output_than_was_asked_for_ends_the_link(self) -> None:
        # The greeting, then for request 2 frames of stdout without end.
        greeting, output = r"\0\0\0\1\0\0\0\1h\2", r"\0\0\0\4\0\0\0\2oabcd"
        script = f"#!/bin/sh\nread -n 9 x; printf '{greeting}'; while :; do printf '{output}' || exit; done"
        self.lab.run(self.container_id, f"cat > {program.path()} <<'E'\n{script}\nE\nchmod 755 {program.path()}")
        spec = ExecSpec(argv=[b"/bin/true"], output_limit=1000)
        await self.fails(self.runtime.execute(self.container, spec), ExecutionFailed, "SUPERVISOR_LOST")

    async def test_f44_fields_out_of_range_end_the_link(self) -> None:
        # The greeting, then to request 2 a failure whose errno is 2^31, or an exit after 2^63 microseconds.
        greeting = r"\0\0\0\1\0\0\0\1h\2"
        for reply in (
            r"\0\0\0\5\0\0\0\2f\5\200\0\0\0",
            r"\0\0\0\17\0\0\0\2x\0\0\0\0\0\0\0\200\0\0\0\0\0\0\0",
        ):
            container_id = self.lab.container()
            script = f"#!/bin/sh\nread -n 9 x; printf '{greeting}'; sleep 1; printf '{reply}'; sleep 100"
            self.lab.run(container_id, f"cat > {program.path()} <<'E'\n{script}\nE\nchmod 755 {program.path()}")
            await self.fails(
                self.runtime.execute(self.described(container_id), TRUE), ExecutionFailed, "SUPERVISOR_LOST"
            )
        self.assertEqual(self.flushLoggedErrors(), [])

    def deaf(self, then: str) -> None:
        """Have the agent's program greet, note that it did, and do something else than its work from then on."""
        script = rf"read -n 9 x; printf '\0\0\0\1\0\0\0\1h\2'; echo >> /begun; {then}"
        self.lab.run(
            self.container_id, f"cat > {program.path()} <<'E'\n#!/bin/sh\n{script}\nE\nchmod 755 {program.path()}"
        )

    def begun(self) -> int:
        """How many agents have greeted."""
        return int(self.lab.run(self.container_id, "wc -l < /begun"))

    async def test_f40_an_agent_that_answers_nothing_is_let_go(self) -> None:
        self.deaf("exec cat > /dev/null")
        runtime = self.agents(FILE_TIMEOUT="0.2", EXEC_KILL_TIMEOUT="0.1")
        await self.fails(runtime.stat(self.container, b"."), WorkspaceError, "TIMEOUT")
        running = runtime.execute(self.container, shell("true"))
        await self.fails(running, ExecutionFailed, "SUPERVISOR_LOST")
        await self.fails(runtime.stat(self.container, b"."), WorkspaceError, "TIMEOUT")
        self.assertEqual(self.begun(), 2)

    async def test_f40_an_agent_that_reads_nothing_is_let_go(self) -> None:
        self.deaf("exec sleep 1001")
        runtime = self.agents(EXEC_KILL_TIMEOUT="0.1")
        writes = [runtime.write_file(self.container, b"x", b"x" * (8 << 20)) for _ in range(2)]
        for write in writes:
            with self.assertRaises(EngineError):
                await write
        self.assertEqual(self.begun(), 1)

    async def test_a_user_that_is_gone_is_said(self) -> None:
        container_id = self.lab.container(user="session")
        self.lab.run(container_id, "echo root:x:0:0:root:/root:/bin/sh > /etc/passwd")
        error = await self.fails(
            self.runtime.execute(self.described(container_id), TRUE), EngineError, "AGENT_UNAVAILABLE"
        )
        self.assertIn("user is not known", error.message)

    async def test_an_agent_killed_from_inside_takes_the_command_along(self) -> None:
        running = await self.running()
        self.lab.run(self.container_id, f"{AGENTS}; kill -KILL $(agents | head -n 1)")
        await self.fails(running, ExecutionFailed, "SUPERVISOR_LOST")
        await self.until(lambda: not self.processes("sleep 1001"))
        self.assertEqual((await self.runtime.execute(self.container, TRUE)).exit_code, 0)

    async def test_a_supervisor_killed_from_inside_takes_the_command_along(self) -> None:
        running = await self.running("setsid sleep 1001 & echo begun; sleep 1001")
        self.lab.run(self.container_id, f"{AGENTS}; kill -KILL $(agents | tail -n 1)")
        await self.fails(running, ExecutionFailed, "SUPERVISOR_LOST")
        await self.until(lambda: not self.processes("sleep 1001"))
        self.assertEqual(len(self.processes("sandbox-agent")), 1)
        self.assertEqual((await self.runtime.execute(self.container, TRUE)).exit_code, 0)

    async def test_a_supervisor_frozen_from_inside_is_ended_after_all(self) -> None:
        self.runtime = self.agents(EXEC_KILL_TIMEOUT="0.2")
        running = await self.running(timeout_ms=2000)
        self.lab.run(self.container_id, f"{AGENTS}; kill -STOP $(agents | tail -n 1)")
        result = await running
        self.assertEqual((result.timed_out, result.survivors), (True, 1))
        await self.until(lambda: not self.processes("sleep 1001"))
        self.assertEqual((await self.runtime.execute(self.container, TRUE)).exit_code, 0)


#: A daemon's worth of the package, to be killed while a command runs.
DAEMON = """
import sys
from twisted.internet import reactor
from sandbox.domain.model import Container, ContainerState, ExecSpec
from sandbox.runtimes.docker.agents import Agents
from sandbox.settings import parse
agents = Agents(reactor, parse({"INTERNAL_SERVICE_KEY": "x", "DOCKER_HOST": sys.argv[1]}))
container = Container(id=sys.argv[2], session_id="s", state=ContainerState.RUNNING, image="i", started_at=sys.argv[3])
agents.execute(container, ExecSpec(argv=[b"/bin/sh", b"-c", b"setsid sleep 1001 & sleep 1001"]))
reactor.run()
"""


class DaemonFaults(FaultsTestCase):
    """The daemon itself dies."""

    async def test_a_daemon_that_is_killed_leaves_no_command_behind(self) -> None:
        daemon = run_python(DAEMON, ENGINE_URL, self.container_id, self.container.started_at)
        self.addCleanup(daemon.wait)
        self.addCleanup(daemon.kill)
        await self.until(lambda: len(self.processes("sleep 1001")) == 2)
        daemon.kill()
        await self.until(lambda: not self.processes("sleep 1001") and not self.processes("sandbox-agent"))


class EngineFaults(FaultsTestCase):
    """An engine of our own goes away and comes back."""

    def setUp(self) -> None:
        """Start it, with a container in it."""
        self.private = PrivateEngine()
        self.addCleanup(self.private.close)
        self.private.start()
        self.lab = Lab(self.private.url)
        self.addCleanup(self.lab.close)
        self.runtime = self.agents(
            DOCKER_HOST=self.private.url, ENGINE_TIMEOUT="1", FILE_TIMEOUT="0.5", EXEC_KILL_TIMEOUT="0.2"
        )
        self.container_id = self.lab.container(user="session")
        self.container = self.described(self.container_id)

    def come_back(self) -> Container:
        """Start the container again."""
        self.lab.engine.start(self.container_id)
        return self.described(self.container_id)

    async def test_stopped_meanwhile(self) -> None:
        running = await self.running()
        await deferToThread(self.private.stop)
        with self.assertRaises((EngineUnavailable, ContainerNotRunning)):
            await running
        await self.fails(self.runtime.execute(self.container, TRUE), EngineUnavailable, "ENGINE_UNAVAILABLE")
        await deferToThread(self.private.start)
        self.assertEqual((await self.runtime.execute(self.come_back(), TRUE)).exit_code, 0)

    async def test_killed_meanwhile(self) -> None:
        running = await self.running()
        await deferToThread(self.private.restart, signal.SIGKILL)
        with self.assertRaises((EngineUnavailable, ContainerNotRunning)):
            await running
        self.assertEqual((await self.runtime.execute(self.come_back(), TRUE)).exit_code, 0)

    async def test_frozen_meanwhile(self) -> None:
        await self.runtime.execute(self.container, TRUE)
        running = self.runtime.execute(self.container, shell("echo begun; sleep 1001", timeout_ms=500))
        stat = self.runtime.stat(self.container, b".")
        self.private.send(signal.SIGSTOP)
        results = await gatherResults(
            [
                operation.addErrback(lambda failure: failure.value)
                for operation in (
                    running,
                    stat,
                    self.agents(DOCKER_HOST=self.private.url, ENGINE_TIMEOUT="1").execute(self.container, TRUE),
                )
            ]
        )
        self.private.send(signal.SIGCONT)
        self.assertIsInstance(results[0], EngineUnavailable)
        self.assertIsInstance(results[2], EngineUnavailable)
        self.assertEqual((await self.runtime.execute(self.container, TRUE)).exit_code, 0)
        await self.until(lambda: not self.processes("sleep 1001"))
