"""The network of session containers: options, creation, and checks of an existing one. See docs/sessions.md."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any

import docker

from sandbox.domain.errors import EngineError
from sandbox.runtimes.docker.inspection import INSTANCE_LABEL
from sandbox.settings import Settings

ICC_OPTION = "com.docker.network.bridge.enable_icc"
BRIDGE_OPTION = "com.docker.network.bridge.name"

#: Seconds between two looks for a network that another daemon is creating.
_LOOK = 0.1


def network_options(settings: Settings, instance: str, engine_id: str) -> dict[str, Any]:
    """The session network's options, as docker-py's ``create_network`` takes them.

    The bridge's name is derived from the network's: firewall rules stay valid when the network is created anew, and of
    several daemons that create it concurrently one succeeds. (Engines before 25 let networks share a name; no engine
    lets them share a bridge.)

    :param engine_id: distinguishes the bridges of two engines on one machine.
    """
    digest = hashlib.sha256(f"{engine_id} {settings.session_network}".encode()).hexdigest()
    return {
        "driver": "bridge",
        "check_duplicate": True,
        "internal": settings.session_network_internal,
        "enable_ipv6": False,
        "options": {ICC_OPTION: "false", BRIDGE_OPTION: f"sandbox-{digest[:7]}"},  # an interface has 15 characters
        "labels": {INSTANCE_LABEL: instance},
    }


def network_fault(described: Mapping[str, Any], settings: Settings) -> str | None:
    """The reason why an existing network is unsafe for sessions, or ``None``."""
    options = described.get("Options") or {}
    name = settings.session_network
    if not settings.session_network_shared and options.get(ICC_OPTION) != "false":
        return (
            f"network {name} lets containers reach each other: remove it and have it made anew,"
            " name another with SESSION_NETWORK, or accept it with SESSION_NETWORK_SHARED=true"
        )
    if settings.session_network_internal and not described.get("Internal"):
        return f"network {name} has a way out, and SESSION_NETWORK_INTERNAL is true: remove it and have it made anew"
    return None


def bridge_of(described: Mapping[str, Any]) -> str:
    """The name of a bridge network's interface on the engine's machine."""
    return (described.get("Options") or {}).get(BRIDGE_OPTION) or f"br-{described['Id'][:12]}"


def ensure_network(client: docker.APIClient, settings: Settings, instance: str) -> dict[str, Any]:
    """The session network as the engine describes it, created if it does not exist. Blocks.

    :raises docker.errors.APIError: when the engine cannot create it, or when another daemon's creation of it did not
        finish within ``ENGINE_TIMEOUT``.
    """
    until = time.monotonic() + settings.engine_timeout
    while True:
        try:
            described: dict[str, Any] = client.inspect_network(settings.session_network)
            return described
        except docker.errors.NotFound:
            pass
        try:
            options = network_options(settings, instance, client.info().get("ID") or "")
            client.create_network(settings.session_network, **options)
        except docker.errors.APIError as error:
            if not _made_by_another(error) or time.monotonic() >= until:
                raise
            time.sleep(_LOOK)  # noqa: TID251 - runs in a thread of the engine's pool


def safe_network(client: docker.APIClient, settings: Settings, instance: str) -> dict[str, Any]:
    """As :func:`ensure_network`, and checks that the network is safe for sessions. Blocks.

    :raises EngineError: with NETWORK_UNSAFE when it is not.
    """
    described = ensure_network(client, settings, instance)
    fault = network_fault(described, settings)
    if fault is not None:
        raise EngineError(fault, code="NETWORK_UNSAFE")
    return described


def reconnect(client: docker.APIClient, described: Mapping[str, Any], settings: Settings, instance: str) -> bool:
    """Reconnect a stopped container to the current session network if that one was created anew. Blocks.

    A container refers to its network by id: once that network is removed, the container does not start again, even if
    another network has the same name.

    :param described: the container's inspection.
    :returns: whether the container was reconnected.
    """
    container_id, name = described["Id"], settings.session_network
    ours = (described["Config"]["Labels"] or {}).get(INSTANCE_LABEL) == instance
    noted = described["NetworkSettings"]["Networks"].get(name)
    if not ours or noted is None:
        return False
    if safe_network(client, settings, instance)["Id"] == noted["NetworkID"]:
        return False
    client.disconnect_container_from_network(container_id, name, force=True)
    client.connect_container_to_network(container_id, name)
    return True


def _made_by_another(error: docker.errors.APIError) -> bool:
    if error.response is not None and error.response.status_code == 409:
        return True
    return "bridge name" in str(error.explanation or "")
