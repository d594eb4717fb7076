"""Session containers: image, network, resources."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, TEXT, command, label, network, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Sessions:
    """Session containers: image, network, resources."""

    session_label: str = variable(
        "SESSION_LABEL",
        (label, "a Docker label name"),
        "sandbox.session.id",
        "The label whose value is a container's session id.",
    )
    serve_foreign_sessions: bool = variable(
        "SERVE_FOREIGN_SESSIONS",
        FLAG,
        "false",
        "Serve containers of other installations on the same engine, too; else they count as none.",
    )
    session_image: str = variable("SESSION_IMAGE", TEXT, "sandbox-session:latest", "Default image of a session.")
    session_command: tuple[str, ...] = variable(
        "SESSION_COMMAND",
        (command, "a command line with quotes as in a shell"),
        "",
        "Main process of a session's container; unset: the agent's idle process, which runs in any image.",
    )
    session_network: str = variable(
        "SESSION_NETWORK",
        (network, "a Docker network's name, or none"),
        "sandbox",
        "The network of session containers, created when missing; previews prefer the container's address on it.",
    )
    session_network_internal: bool = variable(
        "SESSION_NETWORK_INTERNAL", FLAG, "false", "Create the session network without access to outside networks."
    )
    session_network_shared: bool = variable(
        "SESSION_NETWORK_SHARED",
        FLAG,
        "false",
        "Use the session network even when its containers can reach each other; otherwise creations on it are refused.",
    )
    session_memory_mb: int = variable(
        "SESSION_MEMORY_MB", whole(16, 1 << 22), "1024", "Default memory limit of a session in MiB."
    )
    session_memory_mb_max: int = variable(
        "SESSION_MEMORY_MB_MAX", whole(16, 1 << 22), "8192", "Highest memory limit that a creation may request, in MiB."
    )
    session_cpus: float = variable("SESSION_CPUS", number(0.01, 1024), "1", "Default CPU limit of a session in cores.")
    session_cpus_max: float = variable(
        "SESSION_CPUS_MAX", number(0.01, 1024), "4", "Highest CPU limit that a creation may request, in cores."
    )
    session_pids: int = variable(
        "SESSION_PIDS", whole(16, 1 << 22), "2048", "Maximum of concurrent processes and threads of a session."
    )
    session_disk_mb: int = variable(
        "SESSION_DISK_MB",
        whole(0, 1 << 30),
        "0",
        "MiB of disk that a session's workspace may take, and as many its root file system; 0: no limit."
        " Needs an engine on XFS with project quotas (pquota).",
    )
    session_log_mb: int = variable(
        "SESSION_LOG_MB", whole(1, 1024), "1", "MiB of a container's own log that the engine keeps."
    )
    session_stop_timeout: int = variable(
        "SESSION_STOP_TIMEOUT", whole(0, 600), "10", "Seconds between SIGTERM and SIGKILL when a session is stopped."
    )
    session_queue: int = variable(
        "SESSION_QUEUE",
        whole(1, 10_000),
        "16",
        "Lifecycle calls that may wait for one session; beyond it 503.",
    )
    container_runtime: str | None = variable(
        "CONTAINER_RUNTIME",
        TEXT,
        None,
        "The engine's runtime for session containers, such as runsc; unset: its default.",
    )
