"""The daemon: started from the virtual environment, with a key and a database of its own in the state directory."""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from quickstart.console import Console, Failed
from quickstart.processes import Process, recall
from quickstart.wire import SESSIONS, Call, Wire
from sandbox.settings import variables

#: Where the daemon that runs is written down, and what the `sandbox` command is told by; in the state directory.
RECORD, CONFIGURATION = "daemon.json", "config.toml"
DEFAULT_PORT = "4002"
START_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0
#: What a person may set for the tour too; everything else of the daemon's environment is decided here.
_PASSED_ON = {"DOCKER_HOST", "SESSION_IMAGE"}
_LOG_LINE = re.compile(r"^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d)\S+ \w+ +[\w.]+: (.*)$")


def key_file(state: Path) -> Path:
    """The service key as a header line, which ``curl -H @FILE`` reads; made once, readable by its owner only."""
    path = state / "service-key.header"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path
    with os.fdopen(descriptor, "w") as file:
        file.write(f"X-Internal-Service-Key: {secrets.token_hex(32)}\n")
    return path


def free_port(preferred: int) -> int:
    """The preferred port of the loopback address, or any other when somebody has it."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("No TCP port of 127.0.0.1 is free")


def readable(line: str) -> str:
    """A line of the daemon's log with the time of day and the message only.

    >>> readable("2026-01-25T12:00:01.250Z info     sandbox.gateway: Started")
    '12:00:01  Started'
    """
    found = _LOG_LINE.match(line)
    return f"{found[1]}  {found[2]}" if found else f"          {line}"


class Daemon:
    """A daemon that answers.

    :ivar log: what it writes.
    :param process: the process, when it was started here rather than left by ``--keep``.
    """

    def __init__(self, wire: Wire, log: Path, process: subprocess.Popen[bytes] | None = None) -> None:
        self.wire = wire
        self.log = log
        self.process = process

    def stop(self) -> int | None:
        """End it as an operator would; its exit code, ``None`` when it was found running and so stays.

        :raises Failed: when it takes longer than it may.
        """
        if self.process is None:
            return None
        self.process.terminate()
        try:
            return self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failed(f"The daemon did not end within {STOP_TIMEOUT:.0f} s of SIGTERM; see {self.log}") from None

    def last_lines(self, count: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def lines(self) -> Iterator[str]:
        """What it logs from now on.

        :raises Failed: when it ends by itself.
        """
        with self.log.open(errors="replace") as file:
            file.seek(0, os.SEEK_END)
            while True:
                line = file.readline()
                if line:
                    yield readable(line.rstrip("\n"))
                elif self.process is not None and self.process.poll() is not None:
                    raise Failed(f"The daemon ended with exit code {self.process.returncode}; see {self.log}")
                else:
                    time.sleep(0.2)


def start(
    environment: Mapping[str, str], engine_url: str, state: Path, console: Console, *, kept: bool = False
) -> Daemon:
    """The daemon that an earlier ``--keep`` left running, else a new one on ``PORT`` or a free port.

    :param kept: whether an earlier run was to leave its daemon; else one that runs was left by a run that was killed,
        and is ended.
    :raises Failed: with the end of its log when it does not start.
    """
    key, log, address = key_file(state), state / "daemon.log", state / RECORD
    if kept and (running := _running(address, key)) is not None:
        console.done(f"the daemon that --keep left answers at {running.url}")
        return Daemon(running, log)
    if (left := recall(address)) is not None:
        left.end(STOP_TIMEOUT)
        console.done("the daemon that a killed run left is ended")
    text = environment.get("PORT") or DEFAULT_PORT
    if not (text.isascii() and text.isdigit() and int(text) <= 65535):
        raise Failed(f"PORT must be an integer from 0 to 65535, not {text!r}")
    preferred = int(text)
    port = free_port(preferred)
    if port != preferred != 0:
        console.show(f"    port {preferred} is taken, so the daemon gets {port}")
    known = {variable.name for variable in variables()} - _PASSED_ON
    settings = {name: value for name, value in environment.items() if name not in known and name != "PYTHONPATH"}
    settings["INTERNAL_SERVICE_KEY"] = key.read_text().strip().partition(": ")[2]
    settings["DOCKER_HOST"], settings["PORT"], settings["STATE_DIRECTORY"] = engine_url, str(port), str(state)
    settings["LOG_FORMAT"] = "text"
    # Whoever ends the tour does not want to wait for what a browser still has open.
    settings["DRAIN_SECONDS"] = str(STOP_TIMEOUT / 2)
    console.say(f"Starting the daemon: twistd -n sandbox; its log: {log}")
    with log.open("wb") as output:
        # In a session of its own: Ctrl-C is for the tour, which ends the daemon last.
        process = subprocess.Popen(
            [Path(sys.executable).with_name("twistd"), "--nodaemon", "--pidfile=", "sandbox"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd=state,
            env=settings,
            start_new_session=True,
        )
    daemon = Daemon(Wire(f"http://127.0.0.1:{port}", key), log, process)
    try:
        _wait(daemon)
    except BaseException:
        process.kill()
        process.wait()
        raise
    if (written := Process.of(process.pid)) is not None:
        written.write(address, url=daemon.wire.url)
    _configure(state / CONFIGURATION, daemon.wire)
    console.done(f"the daemon answers at {daemon.wire.url}")
    return daemon


def _configure(path: Path, wire: Wire) -> None:
    """Have the ``sandbox`` command find the daemon: SANDBOX_CONFIG names the file, which its owner alone can read."""
    key = wire.key_file.read_text().strip().partition(": ")[2]
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(f'url = "{wire.url}"\nkey = "{key}"\nuser = "quickstart"\n')


def _answers(wire: Wire) -> bool:
    try:
        return wire.send(Call("GET", f"{SESSIONS}?limit=1"), timeout=10).status == 200
    except OSError:
        return False


def _running(address: Path, key: Path) -> Wire | None:
    try:
        wire = Wire(json.loads(address.read_text())["url"], key)
    except (OSError, ValueError, KeyError):
        return None
    return wire if _answers(wire) else None


def _wait(daemon: Daemon) -> None:
    assert daemon.process is not None
    deadline = time.monotonic() + START_TIMEOUT
    while not _answers(daemon.wire):
        if daemon.process.poll() is not None:
            raise Failed(f"The daemon ended with exit code {daemon.process.returncode}:\n{daemon.last_lines()}")
        if time.monotonic() > deadline:
            raise Failed(f"The daemon does not answer after {START_TIMEOUT:.0f} s:\n{daemon.last_lines()}")
        time.sleep(0.1)
