"""The sessions' network: what sessions may do on it, and whether this machine reaches them there."""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import docker.errors

from sandbox.cli.doctor.finding import Finding, Patient, failed, ok, warning
from sandbox.cli.doctor.routes import way_to
from sandbox.runtimes.docker.network import bridge_of, network_fault

_RESOLVERS = Path("/etc/resolv.conf")
#: By a Docker engine's first number, the version in which CVE-2024-29018 is mended; all from 26 on are.
_MENDED = {23: (23, 0, 11), 25: (25, 0, 5)}


def check_network(client: Any, patient: Patient, resolvers: Path = _RESOLVERS) -> Iterator[Finding]:
    """The network, as the engine describes it and as this machine's kernel leads to it.

    :param resolvers: the engine's host's resolv.conf.
    """
    name = patient.settings.session_network
    if name == "none":
        yield warning("network", "sessions have none: previews cannot be reached", "Unset SESSION_NETWORK.")
        return
    try:
        described = client.inspect_network(name)
    except docker.errors.NotFound:
        yield ok("network", f"{name} is not there yet; the daemon makes it")
        return
    fault = network_fault(described, patient.settings)
    if fault is None:
        yield ok("network", f"{name} keeps sessions apart" if not patient.settings.session_network_shared else name)
    else:
        yield failed("network", fault.partition(":")[0], f"{fault.partition(': ')[2]} (docker network rm {name})")
    if described.get("Internal"):
        yield from _names(client, name, resolvers)
    if patient.settings.docker_host.startswith("unix://") and described.get("Driver") == "bridge":
        yield from _way(described, name)


def _names(client: Any, name: str, resolvers: Path) -> Iterator[Finding]:
    numbers = tuple(map(int, re.findall(r"\d+", client.version()["Version"])[:3]))
    mended = numbers >= (26,) or numbers >= _MENDED.get(numbers[0], (26,))
    try:
        text = resolvers.read_text("utf-8", "replace")
    except OSError:
        text = ""
    if mended or not re.search(r"(?m)^\s*nameserver\s+(127\.|::1)", text):
        return
    message = f"this engine resolves any name by this host's resolver for containers on {name}, which has no way out"
    fix = (
        "Update Docker (CVE-2024-29018). Sessions that are made from now on are not concerned; make older ones anew,"
        " and give other programs' containers a --dns that nothing answers."
    )
    yield warning("network", message, fix)


def _way(described: Mapping[str, Any], name: str) -> Iterator[Finding]:
    bridge, address = bridge_of(described), _address(described)
    if address is None:
        return
    try:
        way = way_to(address)
    except OSError:
        return
    here = {interface for _, interface in socket.if_nameindex()}
    if way is not None and (way.interface == bridge or (bridge not in here and way.direct)):
        return
    if bridge in here:
        where = f"by {way.interface}" if way is not None else "nowhere"
        message = f"the way to {address} on {name} leads {where} and not by its bridge {bridge}: no preview is reached"
        fix = f"Give {name} another subnet (docker network rm {name}; the daemon makes it anew)"
        if way is not None:
            fix += f", or remove {way.interface} if nothing needs it (ip link delete {way.interface})"
        yield failed("network", message, f"{fix}.")
    else:
        message = f"the bridge {bridge} of {name} is no interface of this machine: previews may not be reached"
        yield warning("network", message, "Run the daemon where the engine's containers can be reached.")


def _address(described: Mapping[str, Any]) -> str | None:
    """A container's address on a network, or one that a container could have."""
    for container in (described.get("Containers") or {}).values():
        if container.get("IPv4Address"):
            return str(container["IPv4Address"]).partition("/")[0]
    for pool in (described.get("IPAM") or {}).get("Config") or ():
        subnet = ipaddress.ip_network(pool.get("Subnet") or "::/128", strict=False)
        if subnet.version == 4 and subnet.num_addresses >= 4:
            last = subnet.broadcast_address - 1
            return str(last if str(last) != pool.get("Gateway") else last - 1)
    return None
