"""The daemon as it runs, on the real engine, tried by schemathesis with what its own description says."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from twisted.trial.unittest import SynchronousTestCase

from sandbox.api.internal.api import description
from sandbox.policy.cursors import encode_cursor
from tests.daemon import KEY, Daemon
from tests.engine import BUSYBOX, client, ensure_busybox

_FOLDER = Path(__file__).with_name("fuzzing")
_SESSIONS = {"FUZZING_BUSY": "fuzz-busy", "FUZZING_IDLE": "fuzz-idle"}


def operations() -> list[set[str]]:
    """The methods of each path."""
    return [set(item) - {"parameters"} for item in description()["paths"].values()]


# Hundreds of requests one after the other take their time on a machine that does much else.
@pytest.mark.timeout(900)
class Fuzzing(SynchronousTestCase):
    def setUp(self) -> None:
        engine = client()
        ensure_busybox(engine)
        engine.close()
        directory = Path(tempfile.mkdtemp(prefix="fuzzing-"))
        self.addCleanup(shutil.rmtree, directory)
        self.daemon = Daemon(directory / "daemon", {"SESSION_LABEL": f"sandbox.test.{secrets.token_hex(6)}"})
        self.daemon.start()
        self.addCleanup(self.daemon.stop)
        self.addCleanup(self.remove_sessions)
        for session_id in _SESSIONS.values():
            self.daemon.call("POST", "sessions", {"userId": "fuzzing", "id": session_id}, status=201)

    def remove_sessions(self) -> None:
        """Delete what it made, a page at a time."""
        while sessions := self.daemon.call("GET", "sessions?limit=200")["sessions"]:
            for session in sessions:
                self.daemon.call("DELETE", f"sessions/{session['id']}", status=204)

    def test_schemathesis_finds_nothing(self) -> None:
        command = [
            str(Path(sys.executable).with_name("schemathesis")),
            *("--config-file", str(_FOLDER / "schemathesis.toml"), "run"),
            *("--checks", "all", "--no-color", "--header", f"X-Internal-Service-Key: {KEY}"),
            f"http://127.0.0.1:{self.daemon.port}/api/internal/openapi.json",
        ]
        variables = {
            **_SESSIONS,
            "PYTHONPATH": str(_FOLDER),
            "FUZZING_IMAGE": BUSYBOX,
            "FUZZING_CURSOR": encode_cursor(datetime(2026, 1, 25, tzinfo=UTC), "a"),
        }
        done = subprocess.run(
            command,
            check=False,
            cwd=self.daemon.directory,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=850,
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        tried = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert tried is not None, done.stdout
        self.assertGreater(int(tried[2]), 400)
        self.assertRegex(done.stdout, r"API Links:\s+[1-9]\d* covered")
        # All but what an application says (schemathesis.toml), and the document, which it begins with.
        self.assertIn(f"Tested: {sum(len(item) for item in operations()) - 2}\n", done.stdout)
