"""What the engine's descriptions of containers mean to us. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sandbox.domain.model import Container, ContainerState, ContainerSummary

#: The label that names the installation which made a container, a volume or a network.
INSTANCE_LABEL = "sandbox.instance"


def container_from(described: Mapping[str, Any], *, label: str, instance: str, network: str) -> Container | None:
    """The container of an inspection, or ``None`` when it carries no session label.

    :param label: the session label's name.
    :param instance: the installation whose containers are managed.
    :param network: the network on which its address is looked for first.
    """
    config, state = described["Config"], described["State"]
    labels = config.get("Labels") or {}
    if not labels.get(label):
        return None
    host = described.get("HostConfig") or {}
    return Container(
        id=described["Id"],
        session_id=labels[label],
        state=_state(state.get("Status")),
        image=config.get("Image") or described.get("Image") or "",
        address=address((described.get("NetworkSettings") or {}).get("Networks") or {}, network),
        started_at=state.get("StartedAt") or "",
        created_at=sortable(described.get("Created") or ""),
        user=config.get("User") or "",
        managed=labels.get(INSTANCE_LABEL) == instance,
        refusal=_refusal(host),
    )


def summary_from(row: Mapping[str, Any], *, label: str, instance: str) -> ContainerSummary | None:
    """The same of a row in the engine's list of containers, which says less."""
    labels = row.get("Labels") or {}
    if not labels.get(label):
        return None
    return ContainerSummary(
        id=row["Id"],
        session_id=labels[label],
        state=_state(row.get("State")),
        created_at=sortable(datetime.fromtimestamp(row.get("Created") or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        managed=labels.get(INSTANCE_LABEL) == instance,
    )


def _state(word: object) -> ContainerState:
    try:
        return ContainerState(word)
    except ValueError:
        # A word that engines may come to use; what we cannot be sure of does not run.
        return ContainerState.DEAD


def _refusal(host: Mapping[str, Any]) -> str | None:
    if host.get("NetworkMode") == "host":
        return "it is on the host's network"
    if host.get("Privileged"):
        return "it is privileged"
    return None


def address(networks: Mapping[str, Mapping[str, Any] | None], preferred: str) -> str | None:
    """The address to reach a container by: on the preferred network, else on the first by name; IPv4 before IPv6.

    An address that would lead to the daemon's own machine or to nobody (loopback, unspecified, link-local,
    multicast) counts as none.
    """
    for name in sorted(networks, key=lambda name: (name != preferred, name)):
        endpoint = networks[name] or {}
        for text in (endpoint.get("IPAddress"), endpoint.get("GlobalIPv6Address")):
            if text and _usable(text):
                return str(text)
    return None


def _usable(text: str) -> bool:
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return False
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    return not (parsed.is_loopback or parsed.is_unspecified or parsed.is_link_local or parsed.is_multicast)


def sortable(moment: str) -> str:
    """An engine's UTC timestamp with all nine digits of its fraction, so that texts sort as moments do.

    >>> sortable("2026-01-25T12:00:00.5Z")
    '2026-01-25T12:00:00.500000000Z'
    """
    if not moment.endswith("Z"):
        return moment
    seconds, _, fraction = moment[:-1].partition(".")
    return f"{seconds}.{fraction:0<9}Z"
