"""What every runtime's ``execute`` does (contract section 2, as far as it happens inside a container)."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater

from sandbox.domain.errors import ContainerNotRunning, ExecutionFailed, InvalidPath
from sandbox.domain.model import Container, ExecResult, ExecSpec
from sandbox.policy.budget import STEP, Budget, Share

#: The scripts of this suite. Where there is no shell, an implementation's test plays exactly these.
SCRIPTS = {
    "both": "printf out; printf err >&2",
    "three": "exit 3",
    "nothing": "true",
    "binary": r"printf '\377\000\200'",
    "million": "head -c 1000000 /dev/zero",
    "exactly": "head -c 1000 /dev/zero",
    "variable": 'printf %s "$GREETING"',
    "terminated": "kill -TERM $$",
    "sleeping": "printf begun; sleep 1000",
}


class ExecContract:
    """The rows. Subclasses are ``TestCase`` and set ``runtime`` and ``container`` in ``setUp``.

    :cvar begun_ms: within which a command has printed something, even on a busy machine.
    """

    begun_ms = 300
    runtime: Any
    container: Container

    def shell(self, name: str, share: Share | None = None, **spec: Any) -> Deferred[ExecResult]:
        """Run one of :data:`SCRIPTS`."""
        deferred: Deferred[ExecResult] = self.runtime.execute(
            self.container, ExecSpec(argv=[b"/bin/sh", b"-c", SCRIPTS[name].encode()], **spec), share
        )
        return deferred

    async def test_output_streams_come_apart(self: Any) -> None:
        result = await self.shell("both")
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, b"out", b"err"))
        self.assertEqual((result.signal, result.truncated, result.timed_out), (None, False, False))
        self.assertEqual((result.oom_killed, result.survivors), (False, 0))
        self.assertGreaterEqual(result.duration_ms, 0)

    async def test_a_non_zero_exit_code_is_a_result(self: Any) -> None:
        self.assertEqual((await self.shell("three")).exit_code, 3)

    async def test_a_command_that_prints_nothing_answers(self: Any) -> None:
        result = await self.shell("nothing")
        self.assertEqual((result.exit_code, result.stdout, result.stderr), (0, b"", b""))

    async def test_output_is_exact_to_the_byte(self: Any) -> None:
        self.assertEqual((await self.shell("binary")).stdout, b"\xff\0\x80")

    async def test_output_past_the_limit_is_dropped_and_the_command_runs_on(self: Any) -> None:
        result = await self.shell("million", output_limit=1000)
        self.assertEqual((result.exit_code, result.stdout, result.truncated), (0, bytes(1000), True))

    async def test_f38_output_for_which_no_budget_is_left_is_truncated_and_the_command_runs_on(self: Any) -> None:
        budget = Budget(3 * STEP)
        share = budget.share()
        share.take(2 * STEP)
        result = await self.shell("million", share=share)
        self.assertEqual((result.exit_code, result.truncated), (0, True))
        self.assertEqual(result.stdout, bytes(len(result.stdout)))
        self.assertLessEqual(len(result.stdout), 2 * STEP)
        self.assertLessEqual(budget.held, budget.size)
        whole = await self.shell("million", share=Budget(2_000_000).share())
        self.assertEqual((len(whole.stdout), whole.truncated), (1_000_000, False))

    async def test_output_at_the_limit_is_whole(self: Any) -> None:
        result = await self.shell("exactly", output_limit=1000)
        self.assertEqual((result.stdout, result.truncated), (bytes(1000), False))

    async def test_nothing_is_kept_at_limit_zero(self: Any) -> None:
        result = await self.shell("both", output_limit=0)
        self.assertEqual((result.exit_code, result.stdout, result.stderr, result.truncated), (0, b"", b"", True))

    async def test_variables_arrive_as_they_are(self: Any) -> None:
        for value in ("", "a b", "two\nlines", "a=b", "$(id) 'quoted'", "é"):
            result = await self.shell("variable", env={"GREETING": value})
            self.assertEqual(result.stdout, value.encode())

    async def test_a_signal_is_named_and_counted_from_128(self: Any) -> None:
        result = await self.shell("terminated")
        self.assertEqual((result.exit_code, result.signal), (143, "SIGTERM"))
        self.assertFalse(result.timed_out)

    async def test_a_program_that_is_missing_is_an_error(self: Any) -> None:
        with self.assertRaises(ExecutionFailed) as caught:
            await self.runtime.execute(self.container, ExecSpec(argv=[b"no-such-program"]))
        self.assertEqual(caught.exception.reason_code, "COMMAND_NOT_FOUND")
        self.assertEqual(caught.exception.message, "Execution failed: no-such-program: No such file or directory")

    async def test_a_directory_that_is_missing_is_an_error(self: Any) -> None:
        with self.assertRaises(ExecutionFailed) as caught:
            await self.shell("nothing", cwd=b"no/such/directory")
        self.assertEqual(caught.exception.reason_code, "CWD_UNUSABLE")

    async def test_f22_a_directory_that_is_missing_is_named(self: Any) -> None:
        with self.assertRaises(ExecutionFailed) as caught:
            await self.shell("nothing", cwd=b"no/such/directory")
        self.assertEqual(
            caught.exception.message, "Execution failed: cwd: No such file or directory: no/such/directory"
        )
        self.assertEqual(getattr(caught.exception, "cwd", None), "no/such/directory")

    async def test_a_directory_inside_the_workspace_is_one(self: Any) -> None:
        await self.runtime.write_file(self.container, b"some/where/file", b"")
        self.assertEqual((await self.shell("three", cwd=b"some/where")).exit_code, 3)

    async def test_time_is_up_with_the_partial_output(self: Any) -> None:
        result = await self.shell("sleeping", timeout_ms=self.begun_ms)
        self.assertTrue(result.timed_out)
        self.assertEqual((result.exit_code, result.signal, result.survivors), (137, "SIGKILL", 0))
        self.assertEqual((result.stdout, result.truncated), (b"begun", False))
        self.assertGreaterEqual(result.duration_ms, self.begun_ms)

    async def test_cancelling_kills_and_then_fails(self: Any) -> None:
        deferred = self.shell("sleeping")
        await deferLater(reactor, 0.2)
        deferred.cancel()
        with self.assertRaises(CancelledError):
            await deferred

    async def test_cancelling_at_once_is_survived(self: Any) -> None:
        deferred = self.shell("sleeping")
        deferred.cancel()
        with self.assertRaises(CancelledError):
            await deferred
        self.assertEqual((await self.shell("three")).exit_code, 3)

    async def test_a_container_that_is_let_go_ends_its_commands(self: Any) -> None:
        await self.shell("nothing")
        for delay in (0.2, 0):
            deferred = self.shell("sleeping")
            await deferLater(reactor, delay)
            self.runtime.drop(self.container.id)
            with self.assertRaises(ContainerNotRunning):
                await deferred

    async def test_closing_kills_what_runs(self: Any) -> None:
        await self.shell("nothing")
        deferred = self.shell("sleeping")
        await deferLater(reactor, 0.2)
        closed = self.runtime.close()
        with self.assertRaises(ExecutionFailed) as caught:
            await deferred
        self.assertEqual(caught.exception.reason_code, "STOPPING")
        await closed

    async def test_closing_ends_what_has_not_begun(self: Any) -> None:
        deferred = self.shell("sleeping")
        closed = self.runtime.close()
        with self.assertRaises(ExecutionFailed) as caught:
            await deferred
        self.assertEqual(caught.exception.reason_code, "STOPPING")
        await closed

    async def test_nothing_is_raised_before_the_deferred(self: Any) -> None:
        spec = ExecSpec(argv=[b"\0"], cwd=b"\0", env={"\0": "\ud800"}, timeout_ms=1)
        deferred = self.runtime.execute(self.container, spec)
        self.assertIsInstance(deferred, Deferred)
        outcome = await deferred.addErrback(lambda failure: failure.value)
        self.assertNotIsInstance(outcome, ExecResult)


class OutsideLinkContract:
    """For runtimes whose suite can make links (see ``FilesContract.scene``)."""

    async def test_a_directory_that_a_link_leads_out_to_is_refused(self: Any) -> None:
        self.scene.link(b"out", b"/tmp")
        with self.assertRaises(InvalidPath):
            await self.shell("nothing", cwd=b"out")
