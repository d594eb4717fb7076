"""Which way the kernel sends packets: asked as ``ip route get`` does, so that no rule or table is overlooked."""

from __future__ import annotations

import ipaddress
import os
import socket
import struct

import attrs

_RTM_NEWROUTE, _RTM_GETROUTE, _NLM_F_REQUEST = 24, 26, 1
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_HEADER = struct.Struct("=IHHII")
_MESSAGE = struct.Struct("=BBBBBBBBI")
_ATTRIBUTE = struct.Struct("=HH")
_TIMEOUT = 5


@attrs.frozen
class Way:
    """How an address is reached.

    :ivar interface: the name of the interface that leads there.
    :ivar direct: whether without another host between.
    """

    interface: str
    direct: bool


def way_to(address: str) -> Way | None:
    """How this machine reaches an address; ``None`` when it does not.

    :raises OSError: when the kernel cannot be asked.
    """
    parsed = ipaddress.ip_address(address)
    family = socket.AF_INET if parsed.version == 4 else socket.AF_INET6
    target = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(parsed.packed), _RTA_DST) + parsed.packed
    body = _MESSAGE.pack(family, len(parsed.packed) * 8, 0, 0, 0, 0, 0, 0, 0) + target
    question = _HEADER.pack(_HEADER.size + len(body), _RTM_GETROUTE, _NLM_F_REQUEST, 1, os.getpid()) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        kernel.settimeout(_TIMEOUT)
        kernel.send(question)
        answer = kernel.recv(1 << 16)
    size, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _RTM_NEWROUTE:
        return None
    found = _attributes(answer[_HEADER.size + _MESSAGE.size : size])
    if _RTA_OIF not in found:
        return None
    (index,) = struct.unpack("=I", found[_RTA_OIF])
    return Way(socket.if_indextoname(index), direct=_RTA_GATEWAY not in found)


def _attributes(data: bytes) -> dict[int, bytes]:
    found = {}
    while len(data) >= _ATTRIBUTE.size:
        size, kind = _ATTRIBUTE.unpack_from(data)
        if size < _ATTRIBUTE.size:
            break
        found[kind] = data[_ATTRIBUTE.size : size]
        data = data[size + 3 & ~3 :]
    return found
