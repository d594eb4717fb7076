"""``sandbox.plugin``: which reactor ``twistd sandbox`` runs on."""

from __future__ import annotations

import subprocess
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.daemon import KEY, twistd


class Choice(SynchronousTestCase):
    def reactor_of(self, *options: str) -> bytes:
        """The line in which twistd names its reactor."""
        directory = Path(self.mktemp())
        directory.mkdir()
        environment = {"INTERNAL_SERVICE_KEY": KEY, "HOST": "192.0.2.1", "STATE_DIRECTORY": str(directory / "state")}
        process = twistd(
            ["-n", *options, "sandbox"], environment, directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        out, _ = process.communicate(timeout=60)
        return next(line for line in out.splitlines() if b"reactor class" in line)

    def test_twistd_runs_on_it(self) -> None:
        self.assertIn(b"sandbox.net.reactor.Reactor", self.reactor_of())

    def test_another_one_that_was_asked_for_is_taken(self) -> None:
        self.assertIn(b"PollReactor", self.reactor_of("--reactor", "poll"))
