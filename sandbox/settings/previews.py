"""Previews: public addresses, and connections to applications."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, SECONDS, domain, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Previews:
    """Previews: public addresses, and connections to applications."""

    preview_domain: str = variable(
        "PREVIEW_DOMAIN",
        (domain, "a domain name of at most 110 bytes, without a port"),
        "localhost",
        "Domain of the preview hosts: http://PORT-SESSION.PREVIEW_DOMAIN/.",
    )
    preview_path_form: bool = variable(
        "PREVIEW_PATH_FORM",
        FLAG,
        "on",
        "Also serve previews under /previews/ID/, where all of them share one origin; off: only on preview hosts.",
    )
    max_previews: int = variable(
        "MAX_PREVIEWS", whole(1, 10_000_000), "100000", "Maximum number of registered previews; beyond it 503."
    )
    preview_websocket_ping: float = variable(
        "PREVIEW_WEBSOCKET_PING",
        SECONDS,
        "30",
        "Seconds without traffic after which the browser of a WebSocket is pinged as a keep-alive; 0: never.",
    )
    preview_websocket_pong_timeout: float = variable(
        "PREVIEW_WEBSOCKET_PONG_TIMEOUT",
        number(0.1, 86_400),
        "20",
        "Seconds that a browser has to answer a ping before its WebSocket is aborted.",
    )
    preview_websocket_close_timeout: float = variable(
        "PREVIEW_WEBSOCKET_CLOSE_TIMEOUT",
        number(0.1, 600),
        "5",
        "Timeout in seconds of the closing handshake of a WebSocket that the daemon closes.",
    )
    preview_connect_timeout: float = variable(
        "PREVIEW_CONNECT_TIMEOUT",
        number(0.1, 600),
        "5",
        "Timeout in seconds of a connection to an application; beyond it 502.",
    )
    preview_response_timeout: float = variable(
        "PREVIEW_RESPONSE_TIMEOUT",
        SECONDS,
        "120",
        "Seconds until an application must begin its response to a request; beyond it 504; 0: no limit.",
    )
    preview_continue_timeout: float = variable(
        "PREVIEW_CONTINUE_TIMEOUT",
        number(0, 600),
        "1",
        "Seconds to wait for the 100 Continue of an application before the daemon sends its own.",
    )
    preview_health_timeout: float = variable(
        "PREVIEW_HEALTH_TIMEOUT",
        number(0.1, 600),
        "5",
        "Timeout in seconds of a preview's health check, and of the probe of which Host its application accepts.",
    )
    preview_host_retry: float = variable(
        "PREVIEW_HOST_RETRY",
        number(0.1, 86_400),
        "10",
        "Seconds until the next probe of the Host of an application that rejects requests, or whose probe timed out.",
    )
    preview_connections: int = variable(
        "PREVIEW_CONNECTIONS",
        whole(1, 100_000),
        "256",
        "Connections to one session's container, WebSockets included; beyond it 503. When at most a quarter is free, "
        "a client that holds a quarter gets no more.",
    )
    preview_idle_connections: int = variable(
        "PREVIEW_IDLE_CONNECTIONS",
        whole(0, 100_000),
        "256",
        "Idle connections to one session's container kept for reuse.",
    )
    preview_idle_timeout: float = variable(
        "PREVIEW_IDLE_TIMEOUT",
        SECONDS,
        "4",
        "Seconds that idle connections are kept; common dev servers close theirs after 5.",
    )
    preview_referer_fallback: bool = variable(
        "PREVIEW_REFERER_FALLBACK",
        FLAG,
        "true",
        "Redirect requests without a matching route to the preview named by their Referer.",
    )
