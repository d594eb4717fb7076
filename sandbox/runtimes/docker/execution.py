"""Commands: what the agent's replies to EXEC add up to."""

from __future__ import annotations

import signal

from sandbox.domain.model import ExecResult
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_link import Exchange
from sandbox.runtimes.docker.protocol import Exit, ProtocolError, Refusal


class Command(Exchange[Exit | Refusal]):
    """A command that runs; keeps at most ``limit`` bytes of each stream."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._output = {protocol.STDOUT: bytearray(), protocol.STDERR: bytearray()}

    def received(self, kind: int, payload: bytes) -> bool:
        """As :meth:`Exchange.received`."""
        if kind in self._output:
            kept = self._output[kind]
            if len(kept) + len(payload) > self._limit:
                raise ProtocolError("more output than was asked for")
            kept += payload
            return False
        if kind == protocol.EXIT:
            self.finish(protocol.parse_exit(payload))
        elif kind == protocol.FAILURE:
            self.finish(protocol.parse_refusal(payload))
        else:
            raise ProtocolError("no reply to a command")
        return True

    def result(self, ended: Exit) -> ExecResult:
        """The whole outcome, after the exit."""
        return ExecResult(
            exit_code=128 + ended.status if ended.signalled else ended.status,
            signal=signal_name(ended.status) if ended.signalled else None,
            stdout=bytes(self._output[protocol.STDOUT]),
            stderr=bytes(self._output[protocol.STDERR]),
            duration_ms=ended.duration_us // 1000,
            truncated=ended.truncated,
            timed_out=ended.timed_out,
            oom_killed=ended.oom,
            survivors=ended.survivors,
        )

    def result_unconfirmed(self, duration_ms: int) -> ExecResult:
        """What is known of a command whose time was up and of which nothing more was heard."""
        return ExecResult(
            exit_code=128 + signal.SIGKILL,
            stdout=bytes(self._output[protocol.STDOUT]),
            stderr=bytes(self._output[protocol.STDERR]),
            duration_ms=duration_ms,
            timed_out=True,
            survivors=1,
        )


def signal_name(number: int) -> str:
    """A signal's name on Linux.

    >>> signal_name(9), signal_name(40)
    ('SIGKILL', 'SIGRTMIN+6')
    """
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"SIGRTMIN+{number - 34}"
