"""A shell that a page's reader sits in front of."""

from __future__ import annotations

import os
import secrets
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path


class Shell:
    """One bash for a whole page: directory, variables and ``$?`` stay from one command to the next.

    :param environment: all of its environment.
    :param program: what runs it.
    :param limit: seconds for one command.
    """

    def __init__(
        self, directory: Path, environment: Mapping[str, str], *, program: Sequence[str] = (), limit: float = 90
    ) -> None:
        self._limit = limit
        self._directory = directory
        self._stayed = 0
        self._process = subprocess.Popen(
            [*program, "bash", "--norc", "--noprofile"],
            cwd=directory,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Run a command; its exit status and what it prints on both streams.

        :raises AssertionError: when it does not end in time.
        """
        mark = secrets.token_hex(8)
        # On one stream: what runs the shell may carry two of them, each at its own speed.
        self._write(
            f"{{ {command}\n}} </dev/null 2>&1\n_status=$?; printf '\\n{mark} %d\\n' $_status; (exit $_status)\n"
        )
        printed = self._read_until(f"\n{mark} ".encode(), command)
        status = self._read_until(b"\n", command)
        return int(status), printed.decode()

    def leave(self, command: str, ready: str) -> str:
        """Start what runs on, as in a terminal of its own, and wait until it prints ``ready``; what it printed."""
        self._stayed += 1
        log = self._directory / f".terminal{self._stayed}"
        self.run(f"{{ {command}\n}} >{log} 2>&1 &")
        end = time.monotonic() + self._limit
        while time.monotonic() < end:
            printed = log.read_text("utf-8", "replace") if log.exists() else ""
            if ready in printed:
                return printed
            time.sleep(0.1)
        raise AssertionError(f"$ {command}\nhas not printed {ready!r}, but\n{printed}")

    def close(self) -> None:
        """End it and all that it left running, and wait until they are gone."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        os.killpg(self._process.pid, signal.SIGTERM)
        end = time.monotonic() + self._limit
        try:
            while self._process.poll() is None or self._lives():
                if time.monotonic() > end:
                    os.killpg(self._process.pid, signal.SIGKILL)
                    raise AssertionError("something that a page started does not end")
                time.sleep(0.05)
        finally:
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()

    def _lives(self) -> bool:
        try:
            os.killpg(self._process.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def _write(self, text: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def _read_until(self, mark: bytes, command: str) -> bytes:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        found = self._rest
        end = time.monotonic() + self._limit
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, selectors.EVENT_READ)
            while mark not in found:
                if not selector.select(max(0.0, end - time.monotonic())):
                    raise AssertionError(f"$ {command}\ndoes not end; it printed\n{found.decode('utf-8', 'replace')}")
                more = os.read(descriptor, 65_536)
                if not more:
                    raise AssertionError(
                        f"$ {command}\nended the shell; it printed\n{found.decode('utf-8', 'replace')}"
                    )
                found += more
        before, _, self._rest = found.partition(mark)
        return before

    _rest = b""
