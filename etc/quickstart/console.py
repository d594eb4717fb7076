"""What the person at the terminal reads, and how the tour gives up."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager


class Failed(Exception):
    """The tour cannot go on; the message says why and, where a person can act on it, the exact line to type."""


class Unread(Exception):
    """Standard output was closed, as by ``| head``: the tour ends."""


class Console:
    """Steps on standard output; progress in place on a terminal, elsewhere a line every few seconds.

    :ivar interval: seconds between two lines of progress where there is no terminal.
    :ivar times: how long each part took, in seconds.
    """

    interval = 5.0

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._shown = 0.0
        self._closed = False
        self.times: dict[str, float] = {}

    def say(self, text: str) -> None:
        """Announce a step."""
        self._write(f"==> {text}\n")

    def done(self, text: str) -> None:
        """A step that went well."""
        self._write(f"    ok  {text}\n")

    def show(self, text: str = "") -> None:
        """A line as it is."""
        self._write(f"{text}\n")

    def progress(self, text: str) -> None:
        """What a long step is doing now."""
        line = " ".join(text.split())[:100]
        if not line:
            return
        if self._terminal:
            self._write(f"    {line}", end="")
        elif time.monotonic() - self._shown >= self.interval:
            self._shown = time.monotonic()
            self._write(f"    {line}\n")

    def _write(self, text: str, end: str = "") -> None:
        if self._closed:
            return
        try:
            # Whatever comes next replaces a line of progress.
            sys.stdout.write(("\r\x1b[K" if self._terminal else "") + text + end)
            sys.stdout.flush()
        except BrokenPipeError:
            # What is still in the buffer has to go somewhere when Python ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            self._closed = True
            raise Unread from None

    @contextmanager
    def timed(self, part: str) -> Iterator[None]:
        """Note how long a part of the tour takes."""
        began = time.monotonic()
        yield
        self.times[part] = self.times.get(part, 0.0) + time.monotonic() - began

    def run(self, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Run a command, its output being progress.

        :raises Failed: with its last lines, when it cannot be run or its exit code is not 0.
        """
        last: deque[str] = deque(maxlen=15)
        try:
            with subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                env=environment,
            ) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    last.append(line.rstrip())
                    self.progress(line)
        except OSError as error:
            raise Failed(f"{command[0]} cannot be run: {error.strerror}") from None
        if process.returncode != 0:
            raise Failed("\n".join([f"{command[0]} ended with exit code {process.returncode}:", *last]))
