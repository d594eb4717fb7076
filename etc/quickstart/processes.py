"""Processes that outlive the one that started them: written down, found again, ended."""

from __future__ import annotations

import json
import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Process:
    """A process, known by its id and the moment of its start: an id alone may be another process's by now."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has the id now; ``None`` when there is none, or when it has ended."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        # proc(5): the state, and nineteen fields on, the start in clock ticks since the machine's.
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    @property
    def runs(self) -> bool:
        """Whether it still does."""
        return Process.of(self.pid) == self

    def end(self, seconds: float, number: int = signal.SIGTERM) -> bool:
        """Send it a signal and wait for its end; whether it came."""
        if self.runs:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)
        deadline = time.monotonic() + seconds
        while self.runs:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def write(self, path: Path, **more: Any) -> None:
        """Write it down, with what else is to be known of it."""
        path.write_text(json.dumps({"pid": self.pid, "started": self.started, **more}))


def recall(path: Path) -> Process | None:
    """The process that was written down there, if it still runs."""
    try:
        found = json.loads(path.read_text())
        process = Process(int(found["pid"]), int(found["started"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return process if process.runs else None
