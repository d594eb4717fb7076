"""The Docker engine: the one that answers, else one that root installs from the distribution and starts."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import docker
import docker.errors
import requests.exceptions

from quickstart.console import Console, Failed

DEFAULT_URL = "unix:///var/run/docker.sock"
#: The distribution's packages: docker.io only recommends iptables, without which containers have no network.
PACKAGES = ("docker.io", "iptables")
#: Seconds that an engine may take to start.
START_TIMEOUT = 60.0


def client(url: str, timeout: float = 60) -> docker.APIClient:
    """A blocking client of the engine; each read from it may take ``timeout`` seconds."""
    return docker.APIClient(base_url=url, version="auto", timeout=timeout)


def why_silent(url: str) -> Exception | None:
    """``None`` when an engine answers there; otherwise what happened instead."""
    engine = None
    try:
        engine = client(url, timeout=10)
        engine.ping()
    except (docker.errors.DockerException, requests.exceptions.RequestException) as error:
        failure: Exception = error
        return failure
    finally:
        if engine is not None:
            engine.close()
    return None


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
    url = environment.get("DOCKER_HOST") or DEFAULT_URL
    error = why_silent(url)
    if error is None:
        console.done(f"a Docker engine answers at {url}")
        return Engine(url)
    advise(error, url, root=os.geteuid() == 0, distribution=_distribution())
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


def advise(error: Exception, url: str, *, root: bool, distribution: str) -> None:
    """Give up when starting an engine is not for us to do.

    :param distribution: the ``ID`` and ``ID_LIKE`` of os-release.
    :raises Failed: with the line to type.
    """
    if "PermissionError" in repr(error) or "Permission denied" in str(error):
        raise Failed(
            f"This user may not speak to the Docker engine at {url}. Type, then log in again:\n"
            '  sudo usermod --append --groups docker "$USER"'
        )
    if url != DEFAULT_URL:
        raise Failed(f"No Docker engine answers at DOCKER_HOST={url}. For the default one type:\n  unset DOCKER_HOST")
    if not {"debian", "ubuntu"} & set(distribution.split()):
        raise Failed(
            "No Docker engine answers. Install Docker for this system and start it; where systemd runs, type:\n"
            "  sudo systemctl start docker"
        )
    if not root:
        raise Failed(
            "No Docker engine answers. Type, then log in again:\n"
            f"  sudo apt-get install --no-install-recommends {' '.join(PACKAGES)} && "
            'sudo usermod --append --groups docker "$USER"'
        )


def _distribution() -> str:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "")


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
