"""The daemon that is measured, on the simulated engine."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from bench.peers import Place
from bench.peers.gateway import daemon
from bench.processes import LOAD, running
from bench.workloads.scale import counts

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[2]


class Measured(SynchronousTestCase):
    def test_collector_leaves_alone_what_the_daemon_stands_on(self) -> None:
        """All of its modules, which full collections would go through again and again while everybody waits."""
        with tempfile.TemporaryDirectory(prefix="bench-daemon-") as name:
            scratch = Path(name)
            socket, file = scratch / "engine.sock", scratch / "counts"
            command = [sys.executable, "-m", "bench.engine", str(socket), "1", "0"]
            with running(command, core=LOAD, log=scratch / "engine.log", directory=ROOT):
                end = time.monotonic() + 30
                while not socket.exists() and time.monotonic() < end:
                    time.sleep(0.02)
                with daemon(Place(scratch, {}, socket), {"BENCH_COUNTS": str(file)}) as (pid, _, _):
                    self.assertGreater(counts(pid, file)["frozen"], 50_000)
