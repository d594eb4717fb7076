"""Run a command in a session's container (contract section 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from sandbox.domain.errors import (
    EngineError,
    ExecutionFailed,
    ExecutionTimeout,
    Overloaded,
    SandboxError,
    is_own_fault,
)
from sandbox.domain.model import Container, ExecResult, ExecSpec
from sandbox.domain.principals import Principal
from sandbox.net.instruments import Histogram
from sandbox.policy.budget import STEP, Share
from sandbox.runtimes.interface import IContainers, IProcesses
from sandbox.runtimes.lookup import running_container

_log = Logger()

#: The shell that runs a command given as a string (contract section 2).
SHELL = [b"/bin/sh", b"-c"]
#: Characters of a command that are logged.
_LOGGED = 200


class ExecutionCounts:
    """Counters of commands and their outcomes.

    :ivar running: commands in progress.
    :ivar in_container: commands in progress by container id.
    :ivar outcomes: finished commands by kind of outcome.
    :ivar durations: of commands that were run, by the daemon's clock: times reported by a container cannot be trusted.
    """

    def __init__(self) -> None:
        self.running = 0
        self.in_container: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.durations = Histogram()

    @contextmanager
    def one(self) -> Iterator[None]:
        """Count a command while it runs, and its outcome when it is cancelled or fails to run."""
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
        """Count a finished command by its outcome."""
        if result.timed_out:
            self.outcomes["timed out"] += 1
        elif result.oom_killed:
            self.outcomes["out of memory"] += 1
        else:
            self.outcomes["exit 0" if result.exit_code == 0 else "exit not 0"] += 1


def printable(output: bytes) -> str:
    """Decode output as UTF-8, replacing invalid bytes with U+FFFD (contract section 2).

    >>> printable(b"ok \\xff")
    'ok \ufffd'
    """
    return output.decode("utf-8", "replace")


def output_size(outcome: ExecResult | Failure) -> int:
    """The bytes of output in a command's outcome, also in an :class:`ExecutionTimeout`."""
    if isinstance(outcome, Failure):
        if not isinstance(outcome.value, ExecutionTimeout):
            return 0
        outcome = outcome.value.result
    return len(outcome.stdout) + len(outcome.stderr)


@attrs.frozen
class Execution:
    """Use case: run one command.

    :ivar container_limit: maximum of concurrent commands in one container.
    :ivar log_commands: whether a command's text is logged, or only its program.
    :ivar seconds: monotonic clock that measures commands.
    """

    containers: IContainers
    processes: IProcesses
    container_limit: int
    log_commands: bool = True
    seconds: Callable[[], float] = monotonic
    counts: ExecutionCounts = attrs.field(factory=ExecutionCounts)

    def run(self, by: Principal, session_id: str, spec: ExecSpec, share: Share) -> Deferred[ExecResult]:
        """Run a command to its end. Cancelling kills it.

        :param by: the caller, for the log.
        :param share: memory budget charged for its output, also for that of an :class:`ExecutionTimeout`.
        :raises Overloaded: with TOO_MANY_EXECS when too many run, or the budget for output is exhausted.
        :raises ContainerNotFound: when the session has no container.
        :raises ContainerNotRunning: when its container is not running.
        :raises ExecutionFailed: when the engine refuses or fails.
        :raises ExecutionTimeout: when the timeout expired; carries the partial output.
        """
        return Deferred.fromCoroutine(self._run(by, session_id, spec, share))

    async def _run(self, by: Principal, session_id: str, spec: ExecSpec, share: Share) -> ExecResult:
        try:
            with self.counts.one():
                container = await running_container(self.containers, session_id)
                with self._admitted(container, share):
                    result = await self.processes.execute(container, spec, share)
        except SandboxError as error:
            _log.emit(
                LogLevel.warn if is_own_fault(error) else LogLevel.info,
                "exec session={session} by={by} failed: {error}",
                session=session_id,
                by=str(by),
                error=error.message,
                code=error.reason_code,
                command=self._shown(spec),
            )
            if not isinstance(error, EngineError):
                raise
            raise ExecutionFailed(error.message, error.reason_code) from error
        except CancelledError:
            _log.info(
                "exec session={session} command={command!r} by={by} was killed: its caller hung up",
                session=session_id,
                by=str(by),
                command=self._shown(spec),
            )
            raise
        self.counts.ended(result)
        _log.info(
            "exec session={session} container={container} command={command!r} exit={exit} ms={ms} by={by}{note}",
            session=session_id,
            by=str(by),
            container=container.id[:12],
            command=self._shown(spec),
            exit=result.exit_code,
            ms=result.duration_ms,
            note=" timed out" if result.timed_out else " out of memory" if result.oom_killed else "",
        )
        if result.timed_out:
            raise ExecutionTimeout(spec.timeout_ms, result)
        return result

    @contextmanager
    def _admitted(self, container: Container, share: Share) -> Iterator[None]:
        """Count a command against its container's limit, and measure its duration."""
        running = self.counts.in_container
        if running[container.id] >= self.container_limit:
            raise Overloaded("Too many commands run at once in this container", code="TOO_MANY_EXECS")
        if not share.take(2 * STEP):
            raise Overloaded("Too many commands hold output at once", code="TOO_MANY_EXECS")
        running[container.id] += 1
        begun = self.seconds()
        try:
            yield
            self.counts.durations.add(self.seconds() - begun)
        finally:
            running[container.id] -= 1
            if not running[container.id]:
                del running[container.id]

    def _shown(self, spec: ExecSpec) -> str:
        if not self.log_commands:
            return printable(spec.argv[0])[:_LOGGED]
        return printable(spec.argv[-1] if spec.argv[:2] == SHELL else b" ".join(spec.argv))[:_LOGGED]
