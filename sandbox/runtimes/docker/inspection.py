"""Converts the engine's descriptions of containers to the domain's. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import attrs

from sandbox.domain.model import Container, ContainerState, ContainerSummary

#: The label that names the installation which made a container, a volume or a network.
INSTANCE_LABEL = "sandbox.instance"


@attrs.frozen
class SessionLabels:
    """Decides by labels which containers are served sessions, and which installation manages them (contract section 1).

    :param name: the session label's name.
    :param instance: the installation whose containers are managed.
    :param serve_foreign: whether containers of other installations on the engine are served, too.
    """

    name: str
    instance: str
    serve_foreign: bool = False

    def session_id(self, labels: Mapping[str, str] | None) -> str | None:
        """The session of a container with these labels; ``None`` when it is not a served session.

        A container without an instance label was made by another program, and is served. Empty labels count as none.
        """
        found = labels or {}
        owner = found.get(INSTANCE_LABEL)
        if owner and owner != self.instance and not self.serve_foreign:
            return None
        return found.get(self.name) or None

    def managed(self, labels: Mapping[str, str] | None) -> bool:
        """Whether this installation created the object with these labels."""
        return (labels or {}).get(INSTANCE_LABEL) == self.instance


def container_from(described: Mapping[str, Any], *, labels: SessionLabels, network: str) -> Container | None:
    """The container of an inspection, or ``None`` when it is not a served session.

    :param labels: decides which containers are served.
    :param network: the preferred network for its address.
    """
    config, state = described["Config"], described["State"]
    session_id = labels.session_id(config.get("Labels"))
    if session_id is None:
        return None
    host = described.get("HostConfig") or {}
    return Container(
        id=described["Id"],
        session_id=session_id,
        state=_state(state.get("Status")),
        image=config.get("Image") or described.get("Image") or "",
        address=address((described.get("NetworkSettings") or {}).get("Networks") or {}, network),
        started_at=state.get("StartedAt") or "",
        created_at=sortable(described.get("Created") or ""),
        user=config.get("User") or "",
        managed=labels.managed(config.get("Labels")),
        refusal=_refusal(host),
    )


def summary_from(row: Mapping[str, Any], *, labels: SessionLabels) -> ContainerSummary | None:
    """The summary of a row in the engine's list of containers, or ``None`` when it is not a served session."""
    session_id = labels.session_id(row.get("Labels"))
    if session_id is None:
        return None
    return ContainerSummary(
        id=row["Id"],
        session_id=session_id,
        state=_state(row.get("State")),
        created_at=sortable(datetime.fromtimestamp(row.get("Created") or 0, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        managed=labels.managed(row.get("Labels")),
    )


def _state(word: object) -> ContainerState:
    try:
        return ContainerState(word)
    except ValueError:
        # A state that a future engine may introduce: treat it as not running.
        return ContainerState.DEAD


def _refusal(host: Mapping[str, Any]) -> str | None:
    if host.get("NetworkMode") == "host":
        return "it is on the host's network"
    if host.get("Privileged"):
        return "it is privileged"
    return None


def address(networks: Mapping[str, Mapping[str, Any] | None], preferred: str) -> str | None:
    """A container's address: on the preferred network, else on the first by name; IPv4 before IPv6.

    Addresses that reach the daemon's own machine or no single host (loopback, unspecified, link-local, multicast) are
    ignored.
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
