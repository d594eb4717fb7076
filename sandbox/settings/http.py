"""HTTP server: limits on sizes, timeouts and connections."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Http:
    """HTTP server: limits on sizes, timeouts and connections."""

    http_line_limit: int = variable(
        "HTTP_LINE_LIMIT", whole(1024, 1 << 20), "16384", "Bytes of a request line; beyond it 414."
    )
    http_head_limit: int = variable(
        "HTTP_HEAD_LIMIT", whole(1024, 1 << 20), "65536", "Bytes of a request's head; beyond it 431."
    )
    http_field_limit: int = variable(
        "HTTP_FIELD_LIMIT", whole(10, 10_000), "200", "Header fields of a request, in number; beyond it 431."
    )
    http_head_timeout: float = variable(
        "HTTP_HEAD_TIMEOUT", number(0.1, 3600), "10", "Seconds from a request's first byte to its head's last (408)."
    )
    http_idle_timeout: float = variable(
        "HTTP_IDLE_TIMEOUT",
        number(0.1, 86_400),
        "75",
        "Seconds that a client's connection is kept while it sends no request, or reads nothing of a response.",
    )
    http_upload_timeout: float = variable(
        "HTTP_UPLOAD_TIMEOUT", number(0.1, 86_400), "60", "Seconds that an upload may stall (408)."
    )
    http_connections: int | None = variable(
        "HTTP_CONNECTIONS",
        whole(1, 1 << 20),
        None,
        "Maximum of open client connections per listener; at the limit, a new one evicts the longest idle one. "
        "Unset: the process's limit of descriptors less 256, or half of it.",
    )
    http_connections_per_peer: int | None = variable(
        "HTTP_CONNECTIONS_PER_PEER",
        whole(1, 1 << 20),
        None,
        "The same for one client address, or /64 network of IPv6 addresses; this machine's own, UNIX sockets, "
        "TRUSTED_PROXIES and INTERNAL_LISTEN are exempt. Unset: a quarter of HTTP_CONNECTIONS.",
    )
    body_limit: int = variable(
        "BODY_LIMIT",
        whole(1024, 1 << 30),
        "10485760",
        "Bytes of the largest request body of the internal API (413 beyond).",
    )
