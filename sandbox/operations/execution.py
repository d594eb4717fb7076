"""Run a command in a session's container (contract section 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from sandbox.domain.errors import EngineError, ExecutionFailed, ExecutionTimeout, SandboxError
from sandbox.domain.model import ExecResult, ExecSpec
from sandbox.net.instruments import Histogram
from sandbox.runtimes.interface import IRuntime
from sandbox.runtimes.lookup import running_container

_log = Logger()

#: What a command that is a string is run by (contract section 2).
SHELL = [b"/bin/sh", b"-c"]
#: Characters of a command that the log keeps.
_LOGGED = 200


class ExecutionCounts:
    """What became of commands.

    :ivar running: commands that run now.
    :ivar outcomes: how commands ended, in a word.
    :ivar durations: of those that were run, by the container's clock.
    """

    def __init__(self) -> None:
        self.running = 0
        self.outcomes: Counter[str] = Counter()
        self.durations = Histogram()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a command that is about to run; one that does not come to its end is counted as what ended it."""
        self.running += 1
        try:
            yield
        except CancelledError:
            self.outcomes["cancelled"] += 1
            raise
        except Exception:
            self.outcomes["not run"] += 1
            raise
        finally:
            self.running -= 1

    def ended(self, result: ExecResult) -> None:
        """Count a command's end."""
        self.durations.add(result.duration_ms / 1000)
        if result.timed_out:
            self.outcomes["timed out"] += 1
        elif result.oom_killed:
            self.outcomes["out of memory"] += 1
        else:
            self.outcomes["exit 0" if result.exit_code == 0 else "exit not 0"] += 1


def printable(output: bytes) -> str:
    """Output as text: what is not UTF-8 becomes U+FFFD (contract section 2).

    >>> printable(b"ok \\xff")
    'ok \ufffd'
    """
    return output.decode("utf-8", "replace")


@attrs.frozen
class Execution:
    """The use case of running one command.

    :ivar log_commands: whether the log shows a command's text, not only its program.
    """

    runtime: IRuntime
    log_commands: bool = True
    counts: ExecutionCounts = attrs.field(factory=ExecutionCounts)

    def run(self, session_id: str, spec: ExecSpec) -> Deferred[ExecResult]:
        """Run a command to its end. Cancelling kills it.

        :raises ContainerNotFound: when the session has no container.
        :raises ContainerNotRunning: when its container does not run.
        :raises ExecutionFailed: when the engine refuses or fails.
        :raises ExecutionTimeout: when time was up; with what the command had printed.
        """
        return Deferred.fromCoroutine(self._run(session_id, spec))

    async def _run(self, session_id: str, spec: ExecSpec) -> ExecResult:
        try:
            with self.counts.one():
                container = await running_container(self.runtime, session_id)
                result = await self.runtime.execute(container, spec)
        except SandboxError as error:
            _log.warn(
                "exec session={session} failed: {error}",
                session=session_id,
                error=error.message,
                code=error.reason_code,
                command=self._shown(spec),
            )
            if not isinstance(error, EngineError):
                raise
            raise ExecutionFailed(error.message, error.reason_code) from error
        except CancelledError:
            _log.warn(
                "exec session={session} command={command!r} was killed: its caller hung up",
                session=session_id,
                command=self._shown(spec),
            )
            raise
        self.counts.ended(result)
        _log.info(
            "exec session={session} container={container} command={command!r} exit={exit} ms={ms}{note}",
            session=session_id,
            container=container.id[:12],
            command=self._shown(spec),
            exit=result.exit_code,
            ms=result.duration_ms,
            note=" timed out" if result.timed_out else " out of memory" if result.oom_killed else "",
        )
        if result.timed_out:
            raise ExecutionTimeout(
                spec.timeout_ms,
                {
                    "stdout": printable(result.stdout),
                    "stderr": printable(result.stderr),
                    "durationMs": result.duration_ms,
                    "truncated": result.truncated,
                    "survivors": result.survivors,
                },
                code="KILL_UNCONFIRMED" if result.survivors else None,
            )
        return result

    def _shown(self, spec: ExecSpec) -> str:
        if not self.log_commands:
            return printable(spec.argv[0])[:_LOGGED]
        return printable(spec.argv[-1] if spec.argv[:2] == SHELL else b" ".join(spec.argv))[:_LOGGED]
