"""Docker engine: address, threads, timeouts."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import SECONDS, engine, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Engine:
    """Docker engine: address, threads, timeouts."""

    docker_host: str = variable(
        "DOCKER_HOST", (engine, "unix:///PATH or tcp://HOST:PORT"), "unix:///var/run/docker.sock", "The Docker engine."
    )
    engine_threads: int = variable(
        "ENGINE_THREADS",
        whole(1, 256),
        "8",
        "Threads for engine calls that create, start, stop and remove; as many again start agents in containers.",
    )
    engine_query_threads: int = variable(
        "ENGINE_QUERY_THREADS", whole(1, 256), "4", "Threads for engine calls that only read."
    )
    engine_queue: int = variable(
        "ENGINE_QUEUE",
        whole(1, 100_000),
        "512",
        "Engine calls that may wait for a thread; beyond it 503.",
    )
    engine_heartbeat: float = variable(
        "ENGINE_HEARTBEAT",
        number(0.1, 3600),
        "10",
        "Seconds between pings of the engine, and their timeout.",
    )
    engine_retry_max: float = variable(
        "ENGINE_RETRY_MAX",
        number(0.1, 3600),
        "5",
        "Seconds at most between attempts to follow the engine's events again.",
    )
    engine_grace: float = variable(
        "ENGINE_GRACE",
        SECONDS,
        "30",
        "Seconds for which previews go on to containers that were certain when the engine went away; 0: not at all.",
    )
    engine_timeout: float = variable(
        "ENGINE_TIMEOUT", number(0.1, 3600), "60", "Seconds that one engine call may take."
    )
    engine_container_backoff: float = variable(
        "ENGINE_CONTAINER_BACKOFF",
        SECONDS,
        "30",
        "Seconds for which calls about a container fail at once after one did not come back while the engine answers, "
        "or after its agent broke the protocol.",
    )
    reconcile_interval: float = variable(
        "RECONCILE_INTERVAL",
        SECONDS,
        "60",
        "Seconds between reconciliations of store and engine; 0: only at start and after a reconnection.",
    )
