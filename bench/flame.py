"""A flame graph of the daemon under load: ``bench/profile`` prepares what this needs and calls it."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.load.requests import request
from bench.measurement import Failed
from bench.peers.gateway import GATEWAYS
from bench.processes import LOAD
from bench.stage import Stage

_OUTPUT = Path(__file__).parents[1] / ".bench" / "profile.svg"


def main(arguments: Sequence[str]) -> None:
    """Record.

    :raises Failed: when py-spy cannot look at the daemon.
    """
    parser = argparse.ArgumentParser(prog="bench/profile")
    parser.add_argument("--path", default="/small", help="what is asked for: /small, /4k, /64k, /1m")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--native", action="store_true", help="C's functions, too")
    parser.add_argument("--gateway", default="gateway", choices=[peer.name for peer in GATEWAYS])
    parser.add_argument("--output", type=Path, default=_OUTPUT)
    asked = parser.parse_args(arguments)
    os.sched_setaffinity(0, {LOAD})
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        Path(name).chmod(0o755)
        with Stage(Path(name), {peer.name: peer for peer in GATEWAYS}, 1.0) as stage:
            proxy = stage.proxy(asked.gateway)
            command = ["py-spy", "record", "--pid", str(proxy.pid), "--output", str(asked.output), "--rate", "250"]
            command += ["--duration", str(asked.seconds), *(["--native"] if asked.native else [])]
            with subprocess.Popen(command) as recording:
                wanted = [request(proxy.path("bench", asked.path), proxy.headers)]
                seen = stage.load.closed(
                    proxy.port("bench"), wanted, connections=asked.connections, seconds=asked.seconds + 1
                )
    if recording.returncode != 0:
        raise Failed("py-spy failed: it needs to be run as root")
    print(f"{len(seen.latencies) / seen.seconds:,.0f} requests/s while it was looked at; see {asked.output}")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except Failed as error:
        sys.exit(f"bench/profile: {error}")
