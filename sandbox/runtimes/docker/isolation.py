"""Isolation of session containers: builds the body of the engine's create call. Pure; see docs/sessions.md."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from sandbox.domain.model import ContainerSpec
from sandbox.runtimes.docker.inspection import INSTANCE_LABEL
from sandbox.settings import Settings

WORKSPACE = "/workspace"

#: The capabilities kept of Docker's fourteen defaults. The agent needs the first eight to act as the container's user,
#: to own and reach files for it and to end processes; the last lets a server bind port 80. Dropped: NET_RAW (forged
#: packets), MKNOD, SYS_CHROOT, SETPCAP, SETFCAP and AUDIT_WRITE, which no session needs.
CAPABILITIES = (
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "NET_BIND_SERVICE",
)


#: An unreachable resolver (RFC 5737) for internal networks. By default the engine forwards a container's queries to the
#: host's resolver when that one is on loopback, from outside the container's network (CVE-2024-29018).
NO_RESOLVER = "192.0.2.1"


def resource_name(instance: str, session_id: str) -> str:
    """The name of a session's container, and of its volume.

    Docker's DNS discloses the names of neighbouring containers, also by reverse look-ups of the subnet. A session's id
    may be the only secret that protects its preview, so the name contains a digest of it; the id itself is in the
    label, which only the engine's API shows.
    """
    return f"sandbox-{instance[:6]}-{hashlib.sha256(session_id.encode()).hexdigest()[:20]}"


def labels_of(settings: Settings, instance: str, session_id: str) -> dict[str, str]:
    """The labels of a session's container and volume."""
    return {settings.session_label: session_id, INSTANCE_LABEL: instance}


def container_config(
    spec: ContainerSpec,
    settings: Settings,
    *,
    instance: str,
    volume: str,
    command: Sequence[str],
    internal: bool = False,
) -> dict[str, Any]:
    """The body of the engine's ``POST /containers/create`` (API 1.41) for a session.

    :param internal: whether its network is internal (no route to the outside).
    """
    labels = labels_of(settings, instance, spec.session_id)
    memory = (spec.memory_mb if spec.memory_mb is not None else settings.session_memory_mb) << 20
    cpus = spec.cpus if spec.cpus is not None else settings.session_cpus
    size = {"size": f"{settings.session_disk_mb}M"} if settings.session_disk_mb else {}
    return {
        "Image": spec.image,
        "Entrypoint": list(command),
        "Cmd": [],
        "Env": [f"{name}={value}" for name, value in spec.env.items()],
        "Labels": labels,
        "Hostname": "sandbox",
        "WorkingDir": WORKSPACE,
        # The image's stop signal and health check are meant for the image's own command.
        "StopSignal": "SIGTERM",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "Mounts": [
                {
                    "Type": "volume",
                    "Source": volume,
                    "Target": WORKSPACE,
                    # The engine creates the volume together with the container, so it is never unused: a prune would
                    # remove an unused one.
                    "VolumeOptions": {
                        "Labels": labels,
                        "DriverConfig": {"Name": "local", **({"Options": size} if size else {})},
                    },
                }
            ],
            "NetworkMode": settings.session_network,
            **({"Dns": [NO_RESOLVER], "DnsOptions": ["timeout:1", "attempts:1"]} if internal else {}),
            **({"StorageOpt": size} if size else {}),
            "CapDrop": ["ALL"],
            "CapAdd": list(CAPABILITIES),
            "SecurityOpt": ["no-new-privileges:true"],
            "IpcMode": "private",
            "PidsLimit": settings.session_pids,
            "Memory": memory,
            "MemorySwap": memory,  # the sum of memory and swap: no swap
            "NanoCpus": round(cpus * 1_000_000_000),
            "Init": True,
            "RestartPolicy": {"Name": "no"},
            "LogConfig": {
                "Type": "json-file",
                "Config": {"max-size": f"{settings.session_log_mb}m", "max-file": "1"},
            },
            **({"Runtime": settings.container_runtime} if settings.container_runtime else {}),
        },
    }
