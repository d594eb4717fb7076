"""Commands: what the agent's replies to EXEC add up to."""

from __future__ import annotations

import signal

from sandbox.domain.model import ExecResult
from sandbox.policy.budget import STEP, Growth, Share
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_link import Exchange
from sandbox.runtimes.docker.protocol import Exit, ProtocolError, Refusal


class Command(Exchange[Exit | Refusal]):
    """A command that runs; keeps at most ``limit`` bytes of each stream, and no more than its share has left for it.

    :param share: see ``IProcesses.execute``.
    """

    def __init__(self, limit: int, share: Share | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._output = {protocol.STDOUT: bytearray(), protocol.STDERR: bytearray()}
        self._growth = {kind: Growth(share, STEP) for kind in self._output}
        self._truncated: set[int] = set()

    @property
    def kept(self) -> int:
        """Bytes of output that are held."""
        return sum(map(len, self._output.values()))

    def discard(self) -> None:
        """As :meth:`Exchange.discard`."""
        super().discard()
        for kept in self._output.values():
            kept.clear()

    def received(self, kind: int, payload: bytes) -> bool:
        """As :meth:`Exchange.received`."""
        if kind in self._output:
            if not self.discarded:
                self._keep(kind, payload)
            return False
        if kind == protocol.EXIT:
            self.finish(protocol.parse_exit(payload))
        elif kind == protocol.FAILURE:
            self.finish(protocol.parse_refusal(payload))
        else:
            raise ProtocolError("no reply to a command")
        return True

    def _keep(self, kind: int, payload: bytes) -> None:
        kept = self._output[kind]
        size = len(kept) + len(payload)
        if size > self._limit:
            raise ProtocolError("more output than was asked for")
        # What is kept of a stream is its beginning, without a gap.
        if kind not in self._truncated and self._growth[kind].fits(size):
            kept += payload
        else:
            self._truncated.add(kind)

    def _take_output(self, kind: int) -> bytes:
        """A stream's bytes, which are held only once from then on."""
        kept, self._output[kind] = self._output[kind], bytearray()
        return bytes(kept)

    def result(self, ended: Exit, elapsed_ms: int) -> ExecResult:
        """The whole outcome, after the exit; to be asked for once.

        :param elapsed_ms: milliseconds since the command was asked for: it cannot have run for longer.
        """
        return ExecResult(
            exit_code=128 + ended.status if ended.signalled else ended.status,
            signal=signal_name(ended.status) if ended.signalled else None,
            stdout=self._take_output(protocol.STDOUT),
            stderr=self._take_output(protocol.STDERR),
            duration_ms=min(ended.duration_us // 1000, elapsed_ms),
            truncated=ended.truncated or bool(self._truncated),
            timed_out=ended.timed_out,
            oom_killed=ended.oom,
            survivors=ended.survivors,
        )

    def result_unconfirmed(self, duration_ms: int) -> ExecResult:
        """What is known of a command whose time was up and of which nothing more was heard."""
        return ExecResult(
            exit_code=128 + signal.SIGKILL,
            stdout=self._take_output(protocol.STDOUT),
            stderr=self._take_output(protocol.STDERR),
            duration_ms=duration_ms,
            truncated=bool(self._truncated),
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
