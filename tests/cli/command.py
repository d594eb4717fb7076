"""The command as its user runs it: a process, with a daemon on the real engine beside it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from tests.daemon import KEY, Daemon
from tests.engine import ENGINE_URL, client, ensure_busybox

#: Seconds after which a command that does not end has failed.
LIMIT = 60
PROGRAM = [sys.executable, "-P", "-m", "sandbox.cli"]


def clean(environment: Mapping[str, str]) -> dict[str, str]:
    """An environment with nothing of this process's that the command would heed."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "PYTHONPATH", "TMPDIR") if name in os.environ}
    return {**kept, "HOME": "/nonexistent", "PYTHONIOENCODING": "utf-8", **environment}


def run(
    *arguments: str, environment: Mapping[str, str], stdin: bytes = b"", cwd: Path | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the command to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        check=False,
        env=clean(environment),
        input=stdin,
        cwd=cwd,
        capture_output=True,
        timeout=LIMIT,
    )


class CommandCase(SynchronousTestCase):
    """Tests that share a daemon, which has the engine's sessions of these tests for itself.

    :cvar environment: what the command is given.
    """

    daemon: ClassVar[Daemon]
    directory: ClassVar[Path]
    environment: ClassVar[dict[str, str]]

    @classmethod
    def setUpClass(cls) -> None:
        engine = client()
        ensure_busybox(engine)
        engine.close()
        cls.directory = Path(tempfile.mkdtemp(prefix="command-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory)
        # A label of its own: "demo" may be somebody else's session on the same engine.
        cls.daemon = Daemon(cls.directory / "daemon", {"SESSION_LABEL": f"sandbox.test.{secrets.token_hex(6)}"})
        cls.daemon.start()
        cls.addClassCleanup(cls.daemon.stop)
        cls.environment = {
            "SANDBOX_URL": f"http://127.0.0.1:{cls.daemon.port}",
            "INTERNAL_SERVICE_KEY": KEY,
            "DOCKER_HOST": ENGINE_URL,
        }

    def setUp(self) -> None:
        self.addCleanup(self.remove_sessions)
        self.work = Path(self.mktemp()).absolute()
        self.work.mkdir()

    def remove_sessions(self) -> None:
        """Delete whatever a test left."""
        for session in self.daemon.call("GET", "sessions")["sessions"]:
            self.daemon.call("DELETE", f"sessions/{session['id']}", status=204)

    def run_it(self, *arguments: str, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
        """Run the command in the test's directory."""
        return run(*arguments, environment={**self.environment, **environment}, stdin=stdin, cwd=self.work)

    def good(self, *arguments: str, stdin: bytes = b"", **environment: str) -> str:
        """What a command prints that must succeed, and that must have nothing to complain about."""
        done = self.run_it(*arguments, stdin=stdin, **environment)
        self.assertEqual((done.returncode, done.stderr), (0, b""), done)
        return done.stdout.decode()

    def values(self, *arguments: str, **how: Any) -> Any:
        """What a command that must succeed prints with ``--json``."""
        return json.loads(self.good(*arguments, "--json", **how))

    def bad(self, *arguments: str, status: int = 1, stdin: bytes = b"", **environment: str) -> str:
        """What a command says on the error stream that must end with this status, and print nothing."""
        done = self.run_it(*arguments, stdin=stdin, **environment)
        self.assertEqual((done.returncode, done.stdout), (status, b""), done)
        self.assertNotIn(b"Traceback", done.stderr)
        return done.stderr.decode()

    def write(self, path: str, content: str, session_id: str = "demo") -> None:
        """Have a file in the session."""
        self.daemon.call("POST", f"sessions/{session_id}/files", {"path": path, "content": content}, status=201)

    def read(self, path: str, session_id: str = "demo") -> str:
        """A file's text in the session."""
        return str(self.daemon.call("GET", f"sessions/{session_id}/files?path={path}")["content"])

    def shell(self, script: str, session_id: str = "demo") -> str:
        """Run a script in the session."""
        return str(self.daemon.call("POST", f"sessions/{session_id}/exec", {"command": script})["stdout"])
