"""Previews: where browsers find them, and how applications are reached."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, SECONDS, domain, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Previews:
    """Previews: where browsers find them, and how applications are reached."""

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
        "Serve previews under /previews/ID/ too, where all of them share one origin; off: only on preview hosts.",
    )
    max_previews: int = variable(
        "MAX_PREVIEWS", whole(1, 10_000_000), "100000", "Preview registrations kept at most; beyond it 503."
    )
    preview_websocket_ping: float = variable(
        "PREVIEW_WEBSOCKET_PING",
        SECONDS,
        "30",
        "Seconds without traffic after which a WebSocket's browser is pinged, so that proxies keep it open; 0: never.",
    )
    preview_websocket_pong_timeout: float = variable(
        "PREVIEW_WEBSOCKET_PONG_TIMEOUT",
        number(0.1, 86_400),
        "20",
        "Seconds that a pinged browser may be silent before its WebSocket is dropped.",
    )
    preview_websocket_close_timeout: float = variable(
        "PREVIEW_WEBSOCKET_CLOSE_TIMEOUT",
        number(0.1, 600),
        "5",
        "Seconds that both ends of a WebSocket have for the closing handshake that the daemon begins.",
    )
    preview_connect_timeout: float = variable(
        "PREVIEW_CONNECT_TIMEOUT",
        number(0.1, 600),
        "5",
        "Seconds to wait for a connection to an application; beyond it 502.",
    )
    preview_response_timeout: float = variable(
        "PREVIEW_RESPONSE_TIMEOUT",
        SECONDS,
        "120",
        "Seconds until an application must begin its answer to a request; beyond it 504; 0: no limit.",
    )
    preview_continue_timeout: float = variable(
        "PREVIEW_CONTINUE_TIMEOUT",
        number(0, 600),
        "1",
        "Seconds to wait for an application's 100 Continue before the daemon sends its own.",
    )
    preview_health_timeout: float = variable(
        "PREVIEW_HEALTH_TIMEOUT",
        number(0.1, 600),
        "5",
        "Seconds that a preview's health check may take, and the question which Host its application takes.",
    )
    preview_host_retry: float = variable(
        "PREVIEW_HOST_RETRY",
        number(0.1, 86_400),
        "10",
        "Seconds until an application that refuses requests, or was too slow to say, is asked for its Host again.",
    )
    preview_connections: int = variable(
        "PREVIEW_CONNECTIONS",
        whole(1, 100_000),
        "256",
        "Connections to one session's container, WebSockets included; beyond it 503. A client that has a quarter of "
        "them gets no more when only a quarter is left for others.",
    )
    preview_idle_connections: int = variable(
        "PREVIEW_IDLE_CONNECTIONS",
        whole(0, 100_000),
        "256",
        "Connections to one session's container that are kept for the next request.",
    )
    preview_idle_timeout: float = variable(
        "PREVIEW_IDLE_TIMEOUT",
        SECONDS,
        "4",
        "Seconds that idle connections are kept: less than the 5 after which common dev servers close theirs.",
    )
    preview_referer_fallback: bool = variable(
        "PREVIEW_REFERER_FALLBACK",
        FLAG,
        "true",
        "Redirect requests that match no route into the preview that their Referer names.",
    )
