"""Metrics of requests, connections and WebSockets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from prometheus_client.core import Metric

from sandbox.gateway.upstream.pool import Pool
from sandbox.gateway.websocket import WebSockets
from sandbox.http.site import Site
from sandbox.http.traffic import Traffic
from sandbox.routing.previews import Previews
from sandbox.telemetry.metrics.families import counter, gauge, histogram


def requests(traffic: Traffic) -> Iterator[Metric]:
    """Requests of all sites."""
    routes = traffic.routes
    yield counter(
        "sandbox_http_requests",
        "Completed requests by route; status 499 is a client that disconnected before the response began.",
        {
            (name, method.decode("ascii"), str(status)): count
            for name, route in routes.items()
            for (method, status), count in route.responses.items()
        },
        ("route", "method", "status"),
    )
    yield histogram(
        "sandbox_http_request_duration_seconds",
        "Time from a request's head to the end of its response, or of its WebSocket handshake.",
        {(name,): route.durations for name, route in routes.items()},
        ("route",),
    )
    yield counter(
        "sandbox_http_request_bytes",
        "Bytes of requests, heads included.",
        {(name,): route.received for name, route in routes.items()},
        ("route",),
    )
    yield counter(
        "sandbox_http_response_bytes",
        "Bytes of responses, heads included.",
        {(name,): route.sent for name, route in routes.items()},
        ("route",),
    )
    yield counter(
        "sandbox_errors",
        "Error responses of the daemon itself, by code; those of applications are not included.",
        {(code,): count for code, count in traffic.errors.items()},
        ("code",),
    )
    yield counter(
        "sandbox_http_refused",
        "Invalid requests (malformed, too large, too slow), by the status of the refusal.",
        {(str(status),): count for status, count in traffic.refused.items()},
        ("status",),
    )


def connections(sites: Mapping[str, Site]) -> Iterator[Metric]:
    """Client connections."""
    yield gauge(
        "sandbox_http_connections",
        "Open client connections, WebSockets included.",
        {(name,): site.counters.connections for name, site in sites.items()},
        ("site",),
    )
    yield counter(
        "sandbox_http_connections_accepted",
        "Accepted client connections.",
        {(name,): site.counters.accepted for name, site in sites.items()},
        ("site",),
    )
    limiters = {name: site.limiter for name, site in sites.items() if site.limiter is not None}
    yield counter(
        "sandbox_http_connections_refused",
        "Client connections that were refused because HTTP_CONNECTIONS or HTTP_CONNECTIONS_PER_PEER were open and "
        "none of them was idle.",
        {(name,): limiter.refused for name, limiter in limiters.items()},
        ("site",),
    )
    yield counter(
        "sandbox_http_connections_evicted",
        "Idle client connections that were closed in favour of new ones.",
        {(name,): limiter.closed for name, limiter in limiters.items()},
        ("site",),
    )
    yield gauge(
        "sandbox_http_requests_in_progress",
        "Requests in progress.",
        {(name,): site.in_progress for name, site in sites.items()},
        ("site",),
    )


def upstream(pool: Pool) -> Iterator[Metric]:
    """Connections to applications in containers."""
    counters, idle = pool.counters, pool.idle
    yield gauge(
        "sandbox_upstream_connections",
        "Connections to applications; busy ones are being opened, carry a request or carry a WebSocket.",
        {("idle",): idle, ("busy",): len(pool) - idle},
        ("state",),
    )
    yield counter("sandbox_upstream_connections_opened", "Established connections to applications.", counters.opened)
    yield counter(
        "sandbox_upstream_connections_reused",
        "Requests that reused an idle connection to their application.",
        counters.reused,
    )
    yield counter("sandbox_upstream_connections_failed", "Failed connection attempts.", counters.failed)
    yield counter(
        "sandbox_upstream_connections_refused",
        "Requests refused because their session had too many connections (PREVIEW_CONNECTIONS).",
        counters.refused,
    )


def websockets(sockets: WebSockets) -> Iterator[Metric]:
    """WebSockets of previews."""
    counters = sockets.counters
    yield gauge("sandbox_websockets", "Open WebSockets.", len(sockets))
    yield counter("sandbox_websockets_opened", "Opened WebSockets.", counters.opened)
    yield counter(
        "sandbox_websocket_bytes",
        "Bytes of frames, by sender.",
        {("browser",): counters.from_browsers, ("application",): counters.from_applications},
        ("from",),
    )


def previews(registry: Previews) -> Iterator[Metric]:
    """Preview registrations."""
    yield gauge("sandbox_previews", "Sessions with a registered preview port.", len(registry))
