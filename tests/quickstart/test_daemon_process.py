"""The tour's daemon, as a process: one that ends, and one that is gone."""

from __future__ import annotations

import json
import socket
import tempfile
from pathlib import Path

import pytest
from quickstart import daemon
from quickstart.console import Console, Failed
from twisted.trial.unittest import SynchronousTestCase

pytestmark = pytest.mark.integration


class DaemonProcessTests(SynchronousTestCase):
    """No engine is needed for what fails before."""

    def setUp(self) -> None:
        """A state directory."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = Path(folder.name)

    def test_daemon_that_ends_at_once_is_told_with_its_last_lines(self) -> None:
        """Here it has no engine's address that it could parse."""
        failure = self.assertRaises(Failed, daemon.start, {"PORT": "0"}, "nonsense", self.state, Console())
        self.assertIn("The daemon ended with exit code 1:\n", str(failure))
        self.assertIn((self.state / "daemon.log").read_text().splitlines()[-1], str(failure))

    def test_daemon_that_was_left_running_but_is_gone_is_not_used(self) -> None:
        """Nor is whatever has its port now."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (self.state / "daemon.json").write_text(json.dumps({"url": url, "pid": 1}))
        self.assertRaises(Failed, daemon.start, {"PORT": "0"}, "nonsense", self.state, Console())
