"""Commands in real containers: what is killed, what is kept, what it costs."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, gatherResults

from sandbox.domain.errors import ExecutionFailed, Overloaded
from sandbox.domain.model import ExecResult, ExecSpec
from tests.runtimes.docker.test_agents import AgentsTestCase
from tests.waiting import until

#: Over fifty processes that do not want to die: plain, in sessions of their own, orphaned, deaf to signals.
TREE = """
deaf() { trap '' TERM HUP INT QUIT; while :; do sleep 1000; done; }
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
  sleep 1001 &
  setsid sleep 1002 &
  (setsid sh -c 'sleep 1003 & sleep 1003 & exit 0' &)
  nohup sleep 1004 >/dev/null 2>&1 &
done
deaf & deaf &
(trap '' TERM; setsid sh -c 'trap "" TERM; while :; do sleep 1005; done' &)
sleep 1
echo ready
sleep 1006
"""


#: A shell function that prints the process ids of the agent's processes, the oldest first.
AGENTS = """
agents() {
  for name in /proc/[0-9]*/comm; do
    grep -qs '^.sandbox-agent' $name && echo $name | tr -dc '0-9\\n'
  done | sort -n
}
""".strip()


class CommandsTestCase(AgentsTestCase):
    """Shorthands."""

    def shell(self, script: str, **spec: Any) -> Deferred[ExecResult]:
        """Run a script."""
        return self.runtime.execute(self.container, ExecSpec(argv=[b"/bin/sh", b"-c", script.encode()], **spec))

    def sleeping(self) -> int:
        """How many processes named sleep or sh there are beside the container's own."""
        return sum(
            bool(re.search(r"sleep 10\d\d\b|/bin/sh|sh -c", line)) for line in self.lab.processes(self.container_id)
        )

    def zombies(self) -> int:
        """How many zombies there are."""
        return sum(line.startswith("Z") for line in self.lab.processes(self.container_id))


class KillTests(CommandsTestCase):
    """When time is up, or the client hangs up, everything is gone before the answer."""

    async def test_a_tree_of_fifty_in_several_sessions_is_gone_when_time_is_up(self) -> None:
        running = self.shell(TREE, timeout_ms=6000)
        await self.until(lambda: self.sleeping() >= 50)
        result = await running
        self.assertEqual((self.sleeping(), self.zombies()), (0, 0))
        self.assertEqual((result.timed_out, result.survivors, result.stdout[:5]), (True, 0, b"ready"))

    async def test_a_tree_of_fifty_is_gone_when_the_client_hangs_up(self) -> None:
        running = self.shell(TREE)
        await self.until(lambda: self.sleeping() >= 50)
        running.cancel()
        with self.assertRaises(CancelledError):
            await running
        self.assertEqual((self.sleeping(), self.zombies()), (0, 0))

    async def test_a_tree_of_fifty_is_gone_when_the_daemon_ends(self) -> None:
        running = self.shell(TREE)
        await self.until(lambda: self.sleeping() >= 50)
        running.addErrback(lambda failure: None)
        await self.runtime.close()
        self.assertEqual((self.sleeping(), self.zombies()), (0, 0))

    async def test_a_fork_bomb_is_ended(self) -> None:
        container_id = self.lab.container(user="session", pids_limit=100)
        container = self.described(container_id)
        # The shell itself waits without another process: it could not have one.
        script = b"mkfifo fifo; b() { b | b & }; b; while :; do read nothing < fifo; done"
        bomb = ExecSpec(argv=[b"/bin/sh", b"-c", script], timeout_ms=1000, output_limit=1000)
        result = await self.runtime.execute(container, bomb)
        self.assertEqual((result.timed_out, result.survivors), (True, 0))
        after = await self.runtime.execute(container, ExecSpec(argv=[b"/bin/echo", b"fine"]))
        self.assertEqual(after.stdout, b"fine\n")

    async def test_other_commands_are_left_alone(self) -> None:
        other = self.shell("sleep 2; echo unharmed")
        await self.shell(TREE, timeout_ms=1500)
        self.assertEqual((await other).stdout, b"unharmed\n")


class BackgroundTests(CommandsTestCase):
    """The answer comes when the command itself ends."""

    async def test_a_background_child_does_not_hold_the_answer_and_lives_on(self) -> None:
        result = await self.shell("(sleep 5; echo late; echo written > late) & echo prompt")
        self.assertEqual((result.exit_code, result.stdout), (0, b"prompt\n"))
        self.assertTrue(self.processes("sleep 5"))
        await self.until(lambda: not self.processes("sleep 5") and not self.sleeping())
        # It wrote to the pipe that the command had, which would have killed it without a reader.
        self.assertEqual((await self.runtime.read_file(self.container, b"late", 100)).content, b"written\n")
        self.assertEqual(self.zombies(), 0)

    async def test_output_of_a_child_within_the_grace_is_kept(self) -> None:
        runtime = self.agents(EXEC_OUTPUT_GRACE="2")
        spec = ExecSpec(argv=[b"/bin/sh", b"-c", b"(sleep 0.5; echo late) & echo prompt"])
        self.assertEqual((await runtime.execute(self.container, spec)).stdout, b"prompt\nlate\n")

    async def test_a_background_child_outlives_the_link_and_the_daemon(self) -> None:
        await self.shell("(sleep 2; echo late; echo written > late) &")
        await self.runtime.close()
        self.assertTrue(self.processes("sleep 2"))
        await self.until(lambda: not self.processes("sandbox-agent"))
        self.assertEqual(self.lab.run(self.container_id, "cat late"), "written\n")

    async def test_no_zombies_without_an_init(self) -> None:
        container_id = self.lab.container(user="session", init=False)
        container = self.described(container_id)
        orphan = ExecSpec(argv=[b"/bin/sh", b"-c", b"(setsid sleep 0.2 &); (sleep 0.3 &) ; exit 0"])
        for _ in range(50):
            await self.runtime.execute(container, orphan)
        await self.until(lambda: not any(line.startswith("Z") for line in self.lab.processes(container_id)))

    async def test_commands_that_leave_little_to_wait_for(self) -> None:
        for script, output in (
            ("cat <<EOF\nhere\nEOF", b"here\n"),
            ("cat", b""),
            ("read line || echo none", b"none\n"),
            ("exec >&- 2>&-; sleep 0.3", b""),
            ("exec >&-; echo lost; exit 0", b""),
            ("sleep 0.2", b""),
            ("printf unended", b"unended"),
        ):
            result = await self.shell(script, timeout_ms=5000)
            self.assertEqual((result.timed_out, result.stdout), (False, output))


class TruthTests(CommandsTestCase):
    """The result is honest."""

    host_config = {"mem_limit": "64m", "memswap_limit": "64m"}  # noqa: RUF012

    async def test_out_of_memory_is_said(self) -> None:
        for script in ("exec tail /dev/zero", "tail /dev/zero"):
            result = await self.shell(script)
            self.assertTrue(result.oom_killed, result)
            self.assertEqual(result.exit_code, 137)
        self.assertFalse((await self.shell("kill -KILL $$")).oom_killed)

    async def test_every_signal_has_its_name(self) -> None:
        for name in ("HUP", "INT", "KILL", "USR1", "PIPE", "TERM"):
            self.assertEqual((await self.shell(f"kill -{name} $$")).signal, f"SIG{name}")

    async def test_who_and_where_a_command_is(self) -> None:
        result = await self.shell("id; pwd; echo $HOME; umask; ulimit -n; cat /proc/self/oom_score_adj")
        usual = self.lab.run(self.container_id, "ulimit -n; cat /proc/self/oom_score_adj", user="session").split()
        who, *rest = result.stdout.decode().splitlines()
        self.assertEqual(who, "uid=1000(session) gid=1000(session) groups=1000(session),2000(extra)")
        self.assertEqual(rest, ["/workspace", "/workspace", "0022", usual[0], str(int(usual[1]) + 100)])

    async def test_a_command_has_no_more_descriptors_than_its_three(self) -> None:
        result = await self.shell("ls /proc/self/fd")
        self.assertEqual(result.stdout.split()[:3], [b"0", b"1", b"2"])
        self.assertEqual(len(result.stdout.split()), 4)  # and the directory that ls reads

    async def test_no_signal_is_ignored_or_blocked(self) -> None:
        argv = [b"/bin/grep", b"-E", b"SigBlk|SigIgn", b"/proc/self/status"]  # a shell ignores some itself
        result = await self.runtime.execute(self.container, ExecSpec(argv=argv))
        self.assertEqual(set(result.stdout.split()[1::2]), {b"0" * 16})

    def agents_running(self) -> int:
        """The processes of the agent in the container."""
        return sum(".sandbox-agent" in line for line in self.lab.processes(self.container_id))

    async def test_a_user_cannot_end_the_agent(self) -> None:
        await self.shell("true")
        attack = f"{AGENTS}; for s in KILL STOP TERM; do for p in $(agents); do kill -$s $p; done; done; agents | wc -l"
        self.assertEqual((await self.shell(attack)).stdout, b"2\n")
        self.assertEqual((await self.shell("echo still here")).stdout, b"still here\n")
        # The supervisors of the commands end a moment after their answers.
        await until(lambda: self.agents_running() == 1)

    async def test_arguments_up_to_the_kernels_limits(self) -> None:
        longest = b"x" * 131_071
        result = await self.runtime.execute(self.container, ExecSpec(argv=[b"/bin/echo", b"-n", longest]))
        self.assertEqual(result.stdout, longest)
        for argv in ([b"/bin/echo", longest + b"x"], [b"/bin/echo", *[longest] * 20], [b"/bin/echo", *[longest] * 40]):
            with self.assertRaises(ExecutionFailed) as caught:
                await self.runtime.execute(self.container, ExecSpec(argv=argv))
            self.assertEqual(caught.exception.reason_code, "ARGUMENTS_TOO_LONG")

    async def test_what_cannot_be_run_is_said(self) -> None:
        for argv, cwd, code in (
            ([b"/etc/passwd"], b".", "COMMAND_NOT_EXECUTABLE"),
            ([b"/workspace"], b".", "COMMAND_NOT_EXECUTABLE"),
            ([b"/etc/passwd/x"], b".", "COMMAND_NOT_FOUND"),
            ([b"/bin/true"], b"/root/nothing", "CWD_UNUSABLE"),
            ([b"/bin/true"], b"/etc/passwd", "CWD_UNUSABLE"),
        ):
            with self.assertRaises(ExecutionFailed) as caught:
                await self.runtime.execute(self.container, ExecSpec(argv=argv, cwd=cwd))
            self.assertEqual(caught.exception.reason_code, code)

    async def test_no_room_for_another_process_is_said(self) -> None:
        container_id = self.lab.container(user="session", pids_limit=12)
        container = self.described(container_id)
        await self.runtime.execute(container, ExecSpec(argv=[b"/bin/true"]))
        self.lab.run(container_id, "for i in 1 2 3 4 5 6 7; do sleep 1001 & done; true")
        spec = ExecSpec(argv=[b"/bin/sleep", b"1"])
        outcomes = await gatherResults(
            [self.runtime.execute(container, spec).addErrback(lambda failure: failure.value) for _ in range(4)]
        )
        refused = [outcome for outcome in outcomes if isinstance(outcome, ExecutionFailed)]
        self.assertTrue(refused)
        self.assertEqual({error.reason_code for error in refused}, {"PROCESS_LIMIT"})


class CostTests(CommandsTestCase):
    """Bounded memory, no threads."""

    timeout = 240

    async def test_a_gigabyte_of_output_costs_no_more_than_its_cap(self) -> None:
        await self.shell("true")
        before = peak_memory()
        result = await self.shell("head -c 1000000000 /dev/zero; echo done >&2", output_limit=10 << 20)
        self.assertEqual((len(result.stdout), result.truncated, result.stderr), (10 << 20, True, b"done\n"))
        self.assertLess(peak_memory() - before, 64 << 20)

    async def test_three_hundred_commands_hold_no_thread(self) -> None:
        await self.shell("true")
        # Those that started the agent, and what earlier tests' pools have not let go of yet.
        before = set(threading.enumerate())
        self.lab.run(self.container_id, "mkfifo -m 666 /workspace/gate")
        # Each waits to open the pipe until somebody opens its other end.
        running = [self.shell("exec 0<gate; echo $$") for _ in range(300)]
        await until(lambda: len(self.processes("exec 0<gate")) == 300, interval=0.5)
        self.assertEqual(set(threading.enumerate()) - before, set())
        await self.runtime.stat(self.container, b".")
        self.assertFalse(any(command.called for command in running))
        self.lab.run(self.container_id, "exec 1>/workspace/gate; sleep 1")
        results = await gatherResults(running)
        self.assertEqual(len({result.stdout for result in results}), 300)

    async def test_more_commands_than_allowed_are_refused(self) -> None:
        for setting, code in (("MAX_EXECS", "TOO_MANY_EXECS"), ("MAX_CONTAINER_REQUESTS", "CONTAINER_BUSY")):
            runtime = self.agents(**{setting: "2"})
            spec = ExecSpec(argv=[b"/bin/sleep", b"1"])
            running = [runtime.execute(self.container, spec) for _ in range(2)]
            with self.assertRaises(Overloaded) as caught:
                await runtime.execute(self.container, spec)
            self.assertEqual(caught.exception.reason_code, code)
            await gatherResults(running)
            await runtime.execute(self.container, ExecSpec(argv=[b"/bin/true"]))

    async def test_an_idle_agent_is_ended_and_comes_back(self) -> None:
        runtime = self.agents(AGENT_IDLE_TIMEOUT="0.2")
        true = ExecSpec(argv=[b"/bin/true"])
        await runtime.execute(self.container, true)
        await self.until(lambda: not self.processes("sandbox-agent"))
        self.assertEqual((await runtime.execute(self.container, true)).exit_code, 0)


def peak_memory() -> int:
    """This process's peak resident memory in bytes, counted anew from here."""
    status = Path("/proc/self/status").read_text()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) << 10  # type: ignore[index]
    Path("/proc/self/clear_refs").write_text("5")
    return peak
