"""The Docker engine: the one that answers, else one that root installs from the distribution and starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker

from quickstart.console import Console, Failed
from quickstart.processes import Process
from quickstart.requirements import PACKAGES, advise, distribution, engine_url, why_silent

#: Where a dockerd that was started for the tour is written down, in the state directory.
RECORD = "dockerd.json"
#: Seconds that an engine may take to start.
START_TIMEOUT = 60.0


def client(url: str, timeout: float = 60) -> docker.APIClient:
    """A blocking client of the engine; each read from it may take ``timeout`` seconds."""
    return docker.APIClient(base_url=url, version="auto", timeout=timeout)


class Engine:
    """An engine that answers.

    :param process: the dockerd that was started for the tour, if one was.
    """

    def __init__(self, url: str, process: subprocess.Popen[bytes] | None = None) -> None:
        self.url = url
        self.process = process

    def stop(self) -> None:
        """End the dockerd that was started for the tour; its containers end with it. Others are left alone."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def ensure(environment: Mapping[str, str], console: Console, log: Path) -> Engine:
    """The engine at ``DOCKER_HOST`` or the default socket; where none answers there, root gets one started.

    :param log: where a dockerd that is started here writes.
    :raises Failed: with the line to type where this is for the person to do.
    """
    url = engine_url(environment)
    error = why_silent(url)
    if error is None:
        console.done(f"a Docker engine answers at {url}")
        return Engine(url)
    advise(error, url, root=os.geteuid() == 0, distribution=distribution())
    console.say("No Docker engine answers, so one is started for you")
    if not all(map(shutil.which, ("dockerd", "iptables"))):
        install(PACKAGES, environment, console)
    if Path("/run/systemd/system").is_dir():
        console.say("Starting docker.service; to stop it: systemctl stop docker.socket docker")
        console.run(["systemctl", "start", "docker"])
        _wait(url, lambda: None)
        return Engine(url)
    console.say(f"Starting dockerd; its log: {log}")
    with log.open("wb") as output:
        # In a session of its own, or Ctrl-C would end it before what runs in it could be removed.
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    if (known := Process.of(process.pid)) is not None:
        known.write(log.with_name(RECORD))
    engine = Engine(url, process)
    try:
        _wait(url, lambda: _early_end(process, log))
    except BaseException:
        engine.stop()
        raise
    console.done(f"dockerd answers at {url}")
    return engine


def install(packages: Sequence[str], environment: Mapping[str, str], console: Console) -> None:
    """Install the distribution's packages, as root on Debian or Ubuntu.

    :raises Failed: when that fails.
    """
    console.say(f"Installing {' and '.join(packages)} from the distribution's packages")
    silent = {**environment, "DEBIAN_FRONTEND": "noninteractive"}
    console.run(["apt-get", "-q", "update"], silent)
    console.run(["apt-get", "-q", "install", "--yes", "--no-install-recommends", *packages], silent)


def _early_end(process: subprocess.Popen[bytes], log: Path) -> None:
    if process.poll() is not None:
        last = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
        raise Failed(f"dockerd ended with exit code {process.returncode}:\n{last}")


def _wait(url: str, look: Callable[[], None]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while (error := why_silent(url)) is not None:
        look()
        if time.monotonic() > deadline:
            raise Failed(f"The Docker engine does not answer after {START_TIMEOUT:.0f} s: {error}")
        time.sleep(0.2)
