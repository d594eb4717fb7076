"""A Docker engine of a test's own, that may be stopped, killed, frozen and started again without hurting anybody."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker.errors

from tests.engine import client

_WITH_LOOPBACK = 'ip link set lo up && exec "$@"'


class PrivateEngine:
    """A dockerd with its own containerd, state and socket, and no networks; needs root.

    :param live_restore: whether containers run on while it is away.
    :param runtimes: further runtimes by name: the program's path and its options.
    :param data_root: where it keeps images, containers and volumes; by default with the rest of its state.
    :param resolver: what its host's resolv.conf names instead of the real ones; its loopback interface is then up.
    :ivar url: where it listens.
    """

    def __init__(
        self,
        *,
        live_restore: bool = False,
        runtimes: Mapping[str, Sequence[str]] | None = None,
        data_root: Path | None = None,
        resolver: str | None = None,
    ) -> None:
        # A short path: a Unix socket's address has room for 107 bytes.
        self._home = Path(tempfile.mkdtemp(prefix="dockerd-"))
        self.url = f"unix://{self._home}/docker.sock"
        self._data_root = data_root or self._home / "data"
        self._resolver = resolver
        config = self._home / "daemon.json"
        named = {name: {"path": path, "runtimeArgs": options} for name, (path, *options) in (runtimes or {}).items()}
        config.write_text(json.dumps({"runtimes": named}))
        self._options = ["--config-file", str(config), *(["--live-restore"] if live_restore else [])]
        self._process: subprocess.Popen[bytes] | None = None
        self._containerd: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        home = self._home
        with (home / "log").open("ab") as log:
            if self._containerd is None:
                # Apart from dockerd, as systems run it: it then outlives a dockerd that was killed.
                command = ["containerd", "--config", "/dev/null", "--address", f"{home}/containerd.sock"]
                command += ["--root", f"{home}/containers", "--state", f"{home}/state"]
                if self._resolver is not None:
                    (home / "resolv.conf").write_text(f"nameserver {self._resolver}\n")
                    prepare = f'mount --bind {home}/resolv.conf /etc/resolv.conf && exec "$@"'
                    command = ["unshare", "--mount", "--", "sh", "-c", prepare, "sh", *command]
                self._containerd = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
                self._await((home / "containerd.sock").exists, self._containerd)
            # In a network namespace of its own: with --bridge=none it deletes docker0, which belongs to another engine.
            command = ["unshare", "--net", "--", "dockerd", "--host", self.url]
            if self._resolver is not None:
                mounts = f"--mount=/proc/{self._containerd.pid}/ns/mnt"
                command[:3] = ["nsenter", mounts, "--", "unshare", "--net", "--", "sh", "-c", _WITH_LOOPBACK, "sh"]
            command += ["--containerd", f"{home}/containerd.sock"]
            command += ["--data-root", str(self._data_root), "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"]
            command += ["--bridge=none", "--iptables=false", "--ip-forward=false", *self._options]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        self._await(self._answers, self._process)

    def _answers(self) -> bool:
        engine = client(self.url)
        try:
            return bool(engine.ping())
        except (docker.errors.DockerException, OSError):
            return False
        finally:
            engine.close()

    def _await(self, ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + 60
        while not ready():
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"dockerd did not start:\n{(self._home / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def inside(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Begin a program in the engine's network namespace; its output is to be read."""
        assert self._process is not None
        namespace = f"--net=/proc/{self._process.pid}/ns/net"
        return subprocess.Popen(["nsenter", namespace, "--", *command], stdout=subprocess.PIPE)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: ``SIGSTOP`` makes a hung engine, ``SIGCONT`` wakes it."""
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it with a signal and wait until it is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(number)
            self._process.wait(60)
            self._process = None
            # What a SIGKILL leaves behind would stop the next start when its number is taken again.
            (self._home / "pid").unlink(missing_ok=True)

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop it with a signal and start it again on the same state."""
        self.stop(number)
        self.start()

    def ensure_running(self) -> None:
        """Wake it, or start it again, whatever a test did to it."""
        if self._process is None:
            self.start()
        else:
            self.send(signal.SIGCONT)

    def close(self) -> None:
        """End it, with what an unclean end may have left running, and remove its state."""
        self.stop()
        if self._containerd is not None:
            self._containerd.terminate()
            self._containerd.wait(60)
        self._end_leftovers()
        for mount in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            target = mount.split()[1]
            if target.startswith((f"{self._home}/", f"{self._data_root}/")):
                subprocess.run(["umount", "-l", target], check=False)
        shutil.rmtree(self._home, ignore_errors=True)

    def _end_leftovers(self) -> None:
        # Its shims name our directory in their command lines; nobody else's do. What runs in containers are their
        # children, and would be init's.
        parents: dict[int, int] = {}
        ours: set[int] = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if os.fsencode(self._home) + b"/" in (entry / "cmdline").read_bytes():
                    ours.add(int(entry.name))
        while more := {process for process, parent in parents.items() if parent in ours} - ours:
            ours |= more
        for process in ours:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
