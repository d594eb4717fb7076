"""Checks of the Docker engine, and of the network and image of sessions."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import docker
import docker.errors

from sandbox.cli.doctor.finding import Finding, Patient, failed, ok, warning
from sandbox.cli.doctor.network import check_network
from sandbox.runtimes.docker.engine import API_VERSION

_TIMEOUT = 10
_MACHINES = ("x86_64", "aarch64")
_LIMITS = {"MemoryLimit": "memory", "CpuCfsQuota": "CPU", "PidsLimit": "process"}
_START = "Start it (systemctl start docker), or name another with DOCKER_HOST."


def check_engine(patient: Patient) -> Iterator[Finding]:
    """Check the engine, and, when it is available, network and image."""
    url = patient.settings.docker_host
    try:
        client = docker.APIClient(base_url=url, version="auto", timeout=_TIMEOUT)
    except (docker.errors.DockerException, OSError):
        yield _unreachable(url)
        return
    try:
        yield from _version(client, patient)
        yield from check_network(client, patient)
        yield from _image(client, patient)
    finally:
        client.close()


def _unreachable(url: str) -> Finding:
    scheme, _, path = url.partition("://")
    if scheme != "unix":
        fix = f"Let it listen there, without TLS and reachable for the daemon only; or: {_START}"
        return failed("engine", f"no Docker engine answers at {url}", fix)
    if not os.path.exists(path):
        return failed("engine", f"there is no socket {path}: Docker is not installed or does not run", _START)
    if not os.access(path, os.R_OK | os.W_OK):
        fix = "Add the daemon's user to the socket's group (usermod -aG docker USER), and log in again."
        return failed("engine", f"{path} may not be used by this user", fix)
    return failed("engine", f"no Docker engine answers at {path}", _START)


def _version(client: Any, patient: Patient) -> Iterator[Finding]:
    version, info = client.version(), client.info()
    spoken = tuple(map(int, version["ApiVersion"].split(".")))
    name = f"Docker {version['Version']}, API {version['ApiVersion']}"
    if spoken < tuple(map(int, API_VERSION.split("."))):
        yield failed("engine", f"{name} is too old", f"Update it to one that speaks API {API_VERSION} (Docker 20.10).")
    elif version["Os"] != "linux" or info["Architecture"] not in _MACHINES:
        machine = f"{version['Os']} on {info['Architecture']}"
        yield failed("engine", f"{name} runs {machine}", f"Sessions need Linux on {' or '.join(_MACHINES)}.")
    else:
        yield ok("engine", f"{name} at {patient.settings.docker_host}")
    for field, limit in _LIMITS.items():
        if info.get(field) is False:
            fix = "Enable the kernel's cgroup controllers (cgroup_enable=memory, or delegation for a rootless engine)."
            yield warning("engine", f"it cannot enforce {limit} limits", fix)
    runtime = patient.settings.container_runtime
    if runtime is not None and runtime not in (info.get("Runtimes") or {}):
        known = ", ".join(sorted(info.get("Runtimes") or {}))
        fix = f"Add it to the engine's configuration, or choose one of {known}."
        yield failed("engine", f"it has no runtime {runtime} (CONTAINER_RUNTIME)", fix)
    yield from _disk(info, patient)


def _disk(info: Any, patient: Patient) -> Iterator[Finding]:
    if not patient.settings.session_disk_mb:
        return
    backing = dict(info.get("DriverStatus") or ()).get("Backing Filesystem")
    if info.get("Driver") != "overlay2" or backing != "xfs":
        fix = "Put its data on XFS, mounted with pquota, with the driver overlay2; or unset SESSION_DISK_MB."
        message = f"it cannot limit disk space (SESSION_DISK_MB) with {info.get('Driver')} on {backing or 'its disk'}"
        yield failed("engine", message, fix)


def _image(client: Any, patient: Patient) -> Iterator[Finding]:
    name = patient.settings.session_image
    try:
        found = client.inspect_image(name)
    except docker.errors.APIError:
        fix = f"docker pull {name}, or build it: ./quickstart in a checkout makes it; SESSION_IMAGE names another."
        yield failed("image", f"the engine has no image {name}: sessions that name none cannot be made", fix)
        return
    yield ok("image", f"{name}, {found['Id'].removeprefix('sha256:')[:12]}")
