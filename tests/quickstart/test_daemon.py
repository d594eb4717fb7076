"""The tour's daemon: its key, its port, its log, its end."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from quickstart import daemon
from quickstart.console import Console, Failed
from quickstart.wire import Wire
from twisted.trial.unittest import SynchronousTestCase

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)


class DaemonTests(SynchronousTestCase):
    """What is around the process."""

    def setUp(self) -> None:
        """A state directory."""
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = Path(folder.name)

    def test_key_is_secret_random_and_kept(self) -> None:
        """One key for a state directory, readable by its owner only."""
        path = daemon.key_file(self.state)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        line = path.read_text()
        self.assertRegex(line, r"\AX-Internal-Service-Key: [0-9a-f]{64}\n\Z")
        self.assertEqual(daemon.key_file(self.state).read_text(), line)
        path.unlink()
        self.assertNotEqual(daemon.key_file(self.state).read_text(), line)

    def test_port_is_the_preferred_one_when_it_is_free(self) -> None:
        """And another one while somebody listens on it."""
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen()
            port = listener.getsockname()[1]
            self.assertNotEqual(daemon.free_port(port), port)
        self.assertEqual(daemon.free_port(port), port)

    def test_log_lines_are_for_people(self) -> None:
        """The time of day and the message; what is none of the daemon's stays as it is."""
        line = "2026-01-25T12:00:01.250Z info     a.b_c: Hello: [1]"
        self.assertEqual(daemon.readable(line), "12:00:01  Hello: [1]")
        self.assertEqual(daemon.readable("\tTraceback").strip(), "Traceback")

    def test_daemon_that_ignores_sigterm_is_killed_and_told(self) -> None:
        """An operator would notice too."""
        self.patch(daemon, "STOP_TIMEOUT", 0.3)
        process = subprocess.Popen([sys.executable, "-c", STUBBORN], stdout=subprocess.PIPE)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        running = daemon.Daemon(Wire("http://127.0.0.1:1", self.state), self.state / "log", process)
        self.assertRaises(Failed, running.stop)
        self.assertEqual(process.returncode, -9)

    def test_port_that_is_none_is_told(self) -> None:
        """As the daemon itself would."""
        for port in ("many", "65536", "-1"):
            failure = self.assertRaises(Failed, daemon.start, {"PORT": port}, "nonsense", self.state, Console())
            self.assertEqual(str(failure), f"PORT must be an integer from 0 to 65535, not '{port}'")
