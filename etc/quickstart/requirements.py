"""What has to be there before anything is installed, and what will be made. Standard library only: it runs first."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from quickstart.console import Console, Failed
from quickstart.recipe import DEFAULT_IMAGE, RECIPE_LABEL, recipe_version

ROOT = Path(__file__).parents[2]
DEFAULT_URL = "unix:///var/run/docker.sock"
#: The distribution's packages: docker.io only recommends iptables, without which containers have no network.
PACKAGES = ("docker.io", "iptables")


class _Local(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(url: str, path: str, timeout: float = 10) -> tuple[int, bytes]:
    """The engine's answer to a GET: status and body.

    :raises OSError: when there is none.
    """
    parts = urlsplit(url)
    connection = _Local(parts.path, timeout) if parts.scheme == "unix" else _network(parts.netloc, timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except http.client.HTTPException as error:
        raise OSError(f"no HTTP answer: {error!r}") from None
    finally:
        connection.close()


def _network(place: str, timeout: float) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(place, timeout=timeout)


def engine_url(environment: Mapping[str, str]) -> str:
    """``DOCKER_HOST``, else the default socket.

    :raises Failed: when it is none that the daemon could use.
    """
    url = environment.get("DOCKER_HOST") or DEFAULT_URL
    if not url.startswith(("unix:///", "tcp://")):
        raise Failed(f"DOCKER_HOST must be unix:///PATH or tcp://HOST:PORT, not {url!r}. Type:\n  unset DOCKER_HOST")
    return url


def why_silent(url: str) -> Exception | None:
    """``None`` when an engine answers there; otherwise what happened instead."""
    try:
        status, _ = ask(url, "/_ping")
    except OSError as error:
        return error
    return None if status == 200 else OSError(f"HTTP {status}")


def advise(error: Exception, url: str, *, root: bool, distribution: str) -> None:
    """Give up when starting an engine is not for us to do.

    :param distribution: the ``ID`` and ``ID_LIKE`` of os-release.
    :raises Failed: with the line to type.
    """
    if "PermissionError" in repr(error) or "Permission denied" in str(error):
        raise Failed(
            f"This user may not use the Docker engine at {url}. Type, then log in again:\n"
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


def distribution() -> str:
    """The ``ID`` and ``ID_LIKE`` of os-release."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return ""
    fields = dict(line.split("=", 1) for line in lines if "=" in line)
    return f"{fields.get('ID', '')} {fields.get('ID_LIKE', '')}".replace('"', "")


def plan(environment: Mapping[str, str], root: Path = ROOT) -> list[tuple[str, str]]:
    """What is used and what will be made, with how long that takes; each a name and a phrase.

    :raises Failed: when a person has to do something first.
    """
    url = engine_url(environment)
    error = why_silent(url)
    if error is None:
        engine = f"answers at {url}"
    else:
        advise(error, url, root=os.geteuid() == 0, distribution=distribution())
        engine = f"none answers at {url}: {' and '.join(PACKAGES)} are installed if need be, and it is started"
    return [
        (".venv", "there" if (root / ".venv" / ".installed").exists() else "Python packages from PyPI, 20 s or more"),
        ("Docker engine", engine),
        (environment.get("SESSION_IMAGE") or DEFAULT_IMAGE, _image(environment, url if error is None else None)),
        (".quickstart", "the service key, the database and the logs"),
    ]


def _image(environment: Mapping[str, str], url: str | None) -> str:
    name = environment.get("SESSION_IMAGE") or DEFAULT_IMAGE
    label = None
    if url is not None:
        status, body = ask(url, f"/images/{quote(name)}/json")
        if status == 200:
            label = ((json.loads(body).get("Config") or {}).get("Labels") or {}).get(RECIPE_LABEL, "")
    if name != DEFAULT_IMAGE:
        return "there" if label is not None else "pulled"
    return "there" if label == recipe_version() else "the sessions' image, made once, one to three minutes"


def main() -> int:
    """Print the plan; its exit status is 1 when a person has to do something first."""
    console = Console()
    try:
        lines = plan(os.environ)
    except Failed as reason:
        print(f"quickstart: {reason}", file=sys.stderr)  # noqa: T201 - a program's error
        return 1
    console.say("A daemon with a session, from this checkout. What it needs:")
    width = max(len(name) for name, _ in lines)
    for name, phrase in lines:
        console.show(f"    {name.ljust(width)}  {phrase}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
