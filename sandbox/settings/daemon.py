"""The daemon: service key, addresses, state directory, shutdown."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import TEXT, address, key, number, origin, peers, text, whole
from sandbox.settings.variable import REQUIRED, variable


@attrs.frozen(kw_only=True, slots=False)
class Daemon:
    """The daemon: service key, addresses, state directory, shutdown."""

    internal_service_key: str = variable(
        "INTERNAL_SERVICE_KEY",
        (key, "a text that is not empty, without white space at its ends or control characters"),
        REQUIRED,
        "Shared secret of the internal API; the daemon does not start without it.",
        secret=True,
        live=True,
    )
    port: int = variable("PORT", whole(0, 65535), "4002", "The TCP port to listen on.")
    host: str = variable(
        "HOST",
        (address, "an IPv4 or IPv6 address or localhost"),
        "127.0.0.1",
        "The address to listen on; 0.0.0.0 or :: exposes the daemon to the network.",
    )
    internal_listen: str | None = variable(
        "INTERNAL_LISTEN",
        (text, "a Twisted server endpoint, such as tcp:4003:interface=127.0.0.1"),
        None,
        "A separate endpoint for the internal API; the main listener then serves previews only.",
    )
    trusted_proxies: tuple[str, ...] = variable(
        "TRUSTED_PROXIES",
        (peers, "addresses or networks, or unix, separated by commas"),
        "",
        "Peers whose X-Forwarded-* and Forwarded fields are trusted.",
    )
    public_url: str | None = variable(
        "PUBLIC_URL",
        (origin, "http://HOST or https://HOST, with :PORT or without, and nothing behind"),
        None,
        "The daemon's URL for browsers, used in the URLs of its responses; unset: http://localhost and the port.",
    )
    state_directory: str = variable(
        "STATE_DIRECTORY", TEXT, "~/.local/state/sandbox", "Directory of the embedded database (systemd sets it)."
    )
    health_timeout: float = variable(
        "HEALTH_TIMEOUT",
        number(0.1, 600),
        "2",
        "Timeout in seconds of the pings of engine and store by /readyz.",
    )
    drain_seconds: float = variable(
        "DRAIN_SECONDS",
        number(0, 3600),
        "30",
        "Seconds that requests in flight have to finish at shutdown.",
    )
