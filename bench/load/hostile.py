"""Hostile clients, and the application behind the daemon: ``hostile.c``, compiled on first use."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from bench.load.attacks import Script
from bench.measurement import Failed
from bench.processes import LOAD, free_port, running

_SOURCE = Path(__file__).with_suffix(".c")
#: Seconds to wait for peers that should have ended by themselves.
_PATIENCE = 20


@attrs.frozen
class Done:
    """What hostile peers did.

    :ivar connections: that there were, those that the daemon ended and that were opened again included.
    :ivar sent: bytes.
    :ivar received: bytes.
    """

    connections: int
    sent: int
    received: int


class Crew:
    """Clients that run.

    :ivar done: what they did, once they have ended.
    """

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def done(self) -> Done:
        """Wait until they end by themselves.

        :raises Failed: when they failed, or sent nothing.
        """
        try:
            output, errors = self._process.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            raise Failed("the hostile clients do not end") from None
        if self._process.returncode != 0:
            raise Failed(f"the hostile clients failed: {errors[-300:]}")
        done = Done(*map(int, output.split()))
        if not done.sent:
            raise Failed("the hostile clients sent nothing")
        return done


@attrs.frozen
class Hostile:
    """The program, and where it was put. All that it starts ends by itself.

    It gives way to others on its core: what waits for it is not to be taken for waiting for the daemon.
    """

    program: Path

    @classmethod
    def build(cls, scratch: Path) -> Hostile:
        """Compile it."""
        program = scratch / "hostile"
        subprocess.run(["cc", "-O2", "-o", program, _SOURCE], check=True)
        return cls(program)

    @contextmanager
    def clients(self, port: int, connections: int, seconds: float, script: Script) -> Iterator[Crew]:
        """So many clients for so long."""
        with tempfile.TemporaryDirectory(prefix="hostile-", dir=self.program.parent) as name:
            command = self._command("client", [port, connections, seconds], script, Path(name))
            pinned = ["taskset", "--cpu-list", str(LOAD), *command, str(int(script.wait))]
            with subprocess.Popen(pinned, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
                try:
                    yield Crew(process)
                finally:
                    process.kill()

    @contextmanager
    def application(self, seconds: float, script: Script) -> Iterator[int]:
        """An application for so long; gives its port."""
        port = free_port()
        with tempfile.TemporaryDirectory(prefix="hostile-", dir=self.program.parent) as name:
            command = self._command("server", [port, seconds], script, Path(name))
            with running(command, core=LOAD, log=Path(name) / "log", port=port):
                yield port

    def _command(self, kind: str, numbers: Sequence[float], script: Script, folder: Path) -> list[str]:
        first, again = folder / "first", folder / "again"
        first.write_bytes(script.first)
        again.write_bytes(script.again)
        how = [script.piece, round(script.every * 1e6)]
        return ["nice", "-n", "10", str(self.program), kind, *map(str, numbers), str(first), str(again), *map(str, how)]
