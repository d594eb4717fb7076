"""The daemon as its user starts it: ``twistd sandbox`` in a process, spoken to over HTTP."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.api import conformity
from tests.engine import BUSYBOX, ENGINE_URL

KEY = "test-service-key-" + "k" * 16
START_LIMIT, STOP_LIMIT = 120, 60


def twistd(
    arguments: Sequence[str], environment: Mapping[str, str], directory: Path, **how: Any
) -> subprocess.Popen[bytes]:
    """Start twistd in a directory, with no more of this process's environment than it needs."""
    program = [str(Path(sys.executable).parent / "twistd"), *arguments]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    return subprocess.Popen(program, cwd=directory, env={**kept, **environment}, **how)


class Daemon:
    """One run of the daemon on the engine that the tests use, with a state directory and an instance of its own.

    :param environment: variables beside the key, the port and the state directory.
    :ivar twistd_options: what twistd is told beside ``-n``.
    """

    twistd_options: Sequence[str] = ()

    def __init__(self, directory: Path, environment: Mapping[str, str] | None = None) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.log = directory / "log"
        self.environment = {
            "INTERNAL_SERVICE_KEY": KEY,
            "PORT": "0",
            "DOCKER_HOST": ENGINE_URL,
            "STATE_DIRECTORY": str(directory / "state"),
            "SESSION_IMAGE": BUSYBOX,
            # Less than what stop() waits: a test that leaves something open does not wait the default's 30.
            "DRAIN_SECONDS": "8",
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def start(self, *arguments: str) -> None:
        """Start it and wait until it is ready."""
        with self.log.open("ab") as log:
            self.process = twistd(
                ["-n", *self.twistd_options, "sandbox", *arguments],
                self.environment,
                self.directory,
                stdout=log,
                stderr=log,
            )
        self.wait_until_ready()

    def wait_until_ready(self) -> None:
        """Wait for the log to say so; it names the ports that were chosen."""
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            for line in self.log.read_text("utf-8", "replace").splitlines() if self.log.exists() else []:
                if "ready on " in line:
                    self.port = int(line.rpartition("ready on ")[2].split()[0].split(":")[1].rstrip(","))
                    return
            if self.process is not None and self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise AssertionError(f"the daemon is not ready:\n{self.log.read_text('utf-8', 'replace')}")

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        port: int | None = None,
    ) -> tuple[int, bytes]:
        """A request with the key; a path that does not begin with a slash is one of the API."""
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=60)
        try:
            target = path if path.startswith("/") else f"/api/internal/{path}"
            fields = {"X-Internal-Service-Key": KEY, **(headers or {})}
            connection.request(method, target, None if body is None else json.dumps(body), fields)
            response = connection.getresponse()
            content = response.read()
            found = {name.lower(): value for name, value in response.getheaders()}
            conformity.check(method, target, response.status, found, content)
            return response.status, content
        finally:
            connection.close()

    def call(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """A request whose status is known, and the JSON it answers."""
        found, content = self.request(method, path, body)
        if found != status:
            raise AssertionError(f"{method} {path}: {found}, not {status}: {content[:2000]!r}")
        return json.loads(content) if content else None

    def stop(self) -> int:
        """End it as an operator does; gives its exit status."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(STOP_LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the daemon did not end:\n{self.log.read_text('utf-8', 'replace')}") from None
