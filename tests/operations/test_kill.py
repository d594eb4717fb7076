"""A daemon that is killed in the midst of creations and deletions leaves nothing that its successor does not put right.

On a real engine with SQLite. ``KILLS`` asks for more rounds than a test run's.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.runtimes.docker.site import Site

KILLS = int(os.environ.get("KILLS", "20"))
ROOT = Path(__file__).resolve().parents[2]


class KillTests(SynchronousTestCase):
    """``kill -9`` at random points."""

    def setUp(self) -> None:
        self.site = Site()
        self.addCleanup(self.site.close)
        state = tempfile.TemporaryDirectory()
        self.addCleanup(state.cleanup)
        self.environment = {
            **os.environ,
            **self.site.environment(),
            "STATE_DIRECTORY": state.name,
            "PYTHONPATH": str(ROOT),
        }
        self.seed = random.randrange(2**32)
        self.random = random.Random(self.seed)
        self.begun: set[str] = set()
        self.created: set[str] = set()
        self.deleting: set[str] = set()
        self.deleted: set[str] = set()

    def daemon(self, task: str) -> subprocess.Popen[str]:
        """One that runs."""
        command = [sys.executable, "-m", "tests.operations.killed", task]
        return subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=subprocess.PIPE, text=True)

    def kill_one(self) -> None:
        """Start one, kill it after a while, and note what it had said by then."""
        daemon = self.daemon("work")
        assert daemon.stdout is not None
        with daemon, daemon.stdout:
            self.assertEqual(daemon.stdout.readline(), "open\n", f"seed {self.seed}")
            try:
                # From before its first creation to after some ten of them.
                daemon.wait(self.random.uniform(0, 1.5))
                self.fail("it ended by itself")
            except subprocess.TimeoutExpired:
                daemon.kill()
            for line in daemon.stdout:
                self.note(line)

    def note(self, line: str) -> None:
        """What was begun, and what acknowledged."""
        # The last line may be cut.
        if line.endswith("\n"):
            word, session_id, *_ = line.split()
            notes = {"create": self.begun, "created": self.created, "delete": self.deleting, "deleted": self.deleted}
            if word in notes:
                notes[word].add(session_id)

    def check(self) -> dict[str, Any]:
        """What there is after a start and its reconciliation."""
        daemon = self.daemon("check")
        output, _ = daemon.communicate(timeout=120)
        self.assertEqual(daemon.returncode, 0)
        found: dict[str, Any] = json.loads(output.splitlines()[-1])
        return found

    def test_nothing_is_left_and_nothing_that_was_acknowledged_is_lost(self) -> None:
        for _ in range(KILLS):
            self.kill_one()
        found = self.check()
        rows = set(found["rows"])
        seed = f"seed {self.seed}"
        self.assertEqual(set(found["rows"].values()) - {"ready"}, set(), f"rows without truth, {seed}")
        self.assertEqual(sorted(found["running"]), sorted(rows), f"rows whose container does not run, {seed}")
        self.assertEqual(sorted(found["containers"]), sorted(rows), f"orphan containers, {seed}")
        self.assertEqual(sorted(found["workspaces"]), sorted(rows), f"orphan volumes, {seed}")
        self.assertEqual(found["differed"], [], f"the second reconciliation found something, {seed}")
        # From outside too: one container and one volume for each row, nothing else with the label.
        self.assertEqual(len(self.site.traces()), 2 * len(rows))
        self.assertEqual(self.created - self.deleting - rows, set(), f"acknowledged and lost, {seed}")
        self.assertEqual(self.deleted & rows, set(), f"deleted and risen, {seed}")
        self.assertLessEqual(rows, self.begun, seed)
        self.assertGreater(len(self.begun), KILLS // 2, "it was killed too early to say anything")
        self.assertGreater(len(self.begun - self.created), 0, "no creation was cut off")
