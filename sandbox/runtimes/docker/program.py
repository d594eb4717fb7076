"""The agent's program: its path in a container and its installation."""

from __future__ import annotations

import hashlib
import io
import tarfile
from functools import cache
from importlib import resources

import docker

from sandbox.domain.errors import EngineError

#: The binaries' architecture names, by the engine's names.
ARCHITECTURES = {"amd64": "x86_64", "x86_64": "x86_64", "arm64": "aarch64", "aarch64": "aarch64"}


@cache
def program(machine: str) -> bytes:
    """The static binary for ``"x86_64"`` or ``"aarch64"``, built by ``agent/build.py``."""
    return resources.files(__package__).joinpath("agent", "bin", f"agent-{machine}").read_bytes()


@cache
def path() -> str:
    """The program's path in a container; the name contains its version, so that versions coexist."""
    digest = hashlib.sha256()
    for machine in sorted(set(ARCHITECTURES.values())):
        digest.update(program(machine))
    return f"/.sandbox-agent-{digest.hexdigest()[:12]}"


def idle_command() -> tuple[str, str]:
    """The main process of a container: waits for ``SIGTERM``; the agent's program provides it in any image."""
    return path(), "idle"


def install(client: docker.APIClient, container_id: str) -> None:
    """Copy the program into a container, running or not yet started; blocks.

    :raises EngineError: with AGENT_UNAVAILABLE when there is no program for the engine's machine.
    """
    # By the machine's architecture, not the image's: the host runs a static program in every image.
    architecture = client.version()["Arch"]
    if architecture not in ARCHITECTURES:
        raise EngineError(f"there is no agent for the engine's machine, {architecture}", code="AGENT_UNAVAILABLE")
    client.put_archive(container_id, "/", _archive(program(ARCHITECTURES[architecture])))


def _archive(content: bytes) -> bytes:
    # Never compressed: engines before the fix of CVE-2026-41567 decompress with the container's own programs, as root.
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        entry = tarfile.TarInfo(path().lstrip("/"))
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return stream.getvalue()
