"""The commands of the API's page, one after the other, as a reader types them."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from sandbox.api.framework.openapi_view import operations
from sandbox.api.internal.api import description
from tests.daemon import KEY, Daemon
from tests.engine import client, ensure_busybox

#: Each needs what those before it did.
_ORDER = (
    *("alive", "ready", "metrics", "api_description", "api_page"),
    *("create_session", "list_sessions", "get_session", "start_session"),
    *("exec", "write_file", "read_file", "list_directory", "stat"),
    *("register_preview", "preview_health", "create_link", "revoke_link"),
    *("stop_session", "delete_session"),
)


class Examples(SynchronousTestCase):
    def test_each_command_succeeds(self) -> None:
        engine = client()
        ensure_busybox(engine)
        engine.close()
        directory = Path(tempfile.mkdtemp(prefix="examples-"))
        self.addCleanup(shutil.rmtree, directory)
        daemon = Daemon(directory / "daemon", {"SESSION_LABEL": f"sandbox.test.{secrets.token_hex(6)}"})
        daemon.start()
        self.addCleanup(daemon.stop)
        self.addCleanup(daemon.request, "DELETE", "sessions/demo")
        commands = {
            one.name: one.curl for tag in description()["tags"] for one in operations(description(), tag["name"])
        }
        self.assertEqual(set(_ORDER), {name for name, command in commands.items() if command})
        for name in _ORDER:
            command = commands[name].replace("http://127.0.0.1:4002", f"http://127.0.0.1:{daemon.port}")
            done = subprocess.run(
                ["sh", "-c", f"{command} --silent --show-error --fail-with-body --max-time 30"],
                check=False,
                env={"PATH": "/usr/bin:/bin", "INTERNAL_SERVICE_KEY": KEY},
                capture_output=True,
                timeout=60,
            )
            self.assertEqual((done.returncode, done.stderr), (0, b""), f"{command}\n{done.stdout!r}")
