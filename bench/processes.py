"""Processes that are measured: started on one core, waited for, looked at in /proc, ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.measurement import Failed

#: The core of what is measured, and the core of load and backend.
MEASURED, LOAD = 0, (os.cpu_count() or 1) - 1
_START_SECONDS, _STOP_SECONDS = 30.0, 15.0


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


@contextmanager
def running(
    command: Sequence[str | Path],
    *,
    core: int,
    log: Path,
    port: int | None = None,
    directory: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[int]:
    """Run a server on one core until the end; gives its process id once it listens.

    In a session of its own: Ctrl-C is for the run, which ends what it started in order.

    :param log: where it writes; its last line is told when the server does not start.
    :raises Failed: when it ends or does not listen.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", str(core), *map(str, command)],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        if port is not None:
            _wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.02)
    last = log.read_text(errors="replace").strip().rpartition("\n")[2]
    raise Failed(f"{log.stem} does not listen: {last[-300:]}")


def run(command: Sequence[str | Path], *, timeout: float, directory: Path | None = None) -> str:
    """Run a load on its core; gives its output.

    :raises Failed: when it fails or takes too long.
    """
    pinned = ["taskset", "--cpu-list", str(LOAD), *map(str, command)]
    try:
        done = subprocess.run(pinned, capture_output=True, text=True, timeout=timeout, cwd=directory, check=False)
    except subprocess.TimeoutExpired:
        raise Failed(f"{Path(command[0]).name} did not end within {timeout:.0f} s") from None
    if done.returncode != 0:
        raise Failed(f"{Path(command[0]).name}: exit status {done.returncode}: {(done.stderr or done.stdout)[-500:]}")
    return done.stdout


def _family(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def processor_seconds(pid: int) -> float:
    """Processor time that a server, all its threads, and its workers have used, to the nanosecond."""
    # The id of another process's clock, as clock_getcpuclockid(3) makes it; /proc counts in ticks of 10 ms.
    return sum(time.clock_gettime((~each << 3) | 2) for each in _family(pid))


def _memory(pid: int, field: str) -> int:
    lines = [line for each in _family(pid) for line in Path(f"/proc/{each}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


def resident(pid: int) -> int:
    """Bytes of memory that a server and its workers have now."""
    return _memory(pid, "VmRSS:")


def reset_peak(pid: int) -> None:
    """Have :func:`peak` count from now."""
    for each in _family(pid):
        Path(f"/proc/{each}/clear_refs").write_text("5")


def peak(pid: int) -> int:
    """Bytes of memory that a server and its workers had at most since :func:`reset_peak`."""
    return _memory(pid, "VmHWM:")
