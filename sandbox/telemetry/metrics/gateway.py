"""Metrics of what is carried: requests, connections, WebSockets."""

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
    """What the sites have carried."""
    routes = traffic.routes
    yield counter(
        "sandbox_http_requests",
        "Requests that are over, by what was asked for; 499 is a client that left before the answer began.",
        {
            (name, method.decode("ascii"), str(status)): count
            for name, route in routes.items()
            for (method, status), count in route.responses.items()
        },
        ("route", "method", "status"),
    )
    yield histogram(
        "sandbox_http_request_duration_seconds",
        "From a request's head to the end of its answer, or of its WebSocket's handshake.",
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
        "Bytes of answers, heads included.",
        {(name,): route.sent for name, route in routes.items()},
        ("route",),
    )
    yield counter(
        "sandbox_errors",
        "Error answers that the daemon made, by their code; those of applications are not among them.",
        {(code,): count for code, count in traffic.errors.items()},
        ("code",),
    )
    yield counter(
        "sandbox_http_refused",
        "What came and was no request (malformed, too large, too slow), by the status that said so.",
        {(str(status),): count for status, count in traffic.refused.items()},
        ("status",),
    )


def connections(sites: Mapping[str, Site]) -> Iterator[Metric]:
    """Clients' connections."""
    yield gauge(
        "sandbox_http_connections",
        "Clients' connections that are open, those of WebSockets included.",
        {(name,): site.counters.connections for name, site in sites.items()},
        ("site",),
    )
    yield counter(
        "sandbox_http_connections_accepted",
        "Clients' connections that were opened.",
        {(name,): site.counters.accepted for name, site in sites.items()},
        ("site",),
    )
    limiters = {name: site.limiter for name, site in sites.items() if site.limiter is not None}
    yield counter(
        "sandbox_http_connections_refused",
        "Clients' connections that were closed at once, since HTTP_CONNECTIONS or HTTP_CONNECTIONS_PER_PEER were open "
        "and none of them was idle.",
        {(name,): limiter.refused for name, limiter in limiters.items()},
        ("site",),
    )
    yield counter(
        "sandbox_http_connections_evicted",
        "Idle connections of clients that were closed to make room for others.",
        {(name,): limiter.closed for name, limiter in limiters.items()},
        ("site",),
    )
    yield gauge(
        "sandbox_http_requests_in_progress",
        "Requests that are not over.",
        {(name,): site.in_progress for name, site in sites.items()},
        ("site",),
    )


def upstream(pool: Pool) -> Iterator[Metric]:
    """Connections to applications in containers."""
    counters, idle = pool.counters, pool.idle
    yield gauge(
        "sandbox_upstream_connections",
        "Connections to applications; busy ones are being opened, carry a request or are a WebSocket's.",
        {("idle",): idle, ("busy",): len(pool) - idle},
        ("state",),
    )
    yield counter(
        "sandbox_upstream_connections_opened", "Connections to applications that were opened.", counters.opened
    )
    yield counter(
        "sandbox_upstream_connections_reused",
        "Requests that found an idle connection to their application.",
        counters.reused,
    )
    yield counter("sandbox_upstream_connections_failed", "Attempts to connect that failed.", counters.failed)
    yield counter(
        "sandbox_upstream_connections_refused",
        "Requests refused because their session had too many connections (PREVIEW_CONNECTIONS).",
        counters.refused,
    )


def websockets(sockets: WebSockets) -> Iterator[Metric]:
    """WebSockets of previews."""
    counters = sockets.counters
    yield gauge("sandbox_websockets", "WebSockets that are open.", len(sockets))
    yield counter("sandbox_websockets_opened", "WebSockets that were opened.", counters.opened)
    yield counter(
        "sandbox_websocket_bytes",
        "Bytes of frames, by where they came from.",
        {("browser",): counters.from_browsers, ("application",): counters.from_applications},
        ("from",),
    )


def previews(registry: Previews) -> Iterator[Metric]:
    """Registrations."""
    yield gauge("sandbox_previews", "Sessions whose preview port is registered.", len(registry))
