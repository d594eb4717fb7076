"""The daemon itself: its key, where it listens, where it keeps things, how it ends."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import TEXT, address, key, number, origin, peers, text, whole
from sandbox.settings.variable import REQUIRED, variable


@attrs.frozen(kw_only=True, slots=False)
class Daemon:
    """The daemon itself: its key, where it listens, where it keeps things, how it ends."""

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
        "The address to listen on; 0.0.0.0 or :: opens it to the network.",
    )
    internal_listen: str | None = variable(
        "INTERNAL_LISTEN",
        (text, "a Twisted server endpoint, such as tcp:4003:interface=127.0.0.1"),
        None,
        "An endpoint of its own for the internal API; the other listener then serves previews only.",
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
        "The daemon's URL for browsers, used in the URLs of its answers; unset: http://localhost and the port.",
    )
    state_directory: str = variable(
        "STATE_DIRECTORY", TEXT, "~/.local/state/sandbox", "Directory of the embedded database (systemd sets it)."
    )
    health_timeout: float = variable(
        "HEALTH_TIMEOUT",
        number(0.1, 600),
        "2",
        "Seconds that engine and store have to answer when /readyz asks them.",
    )
    drain_seconds: float = variable(
        "DRAIN_SECONDS",
        number(0, 3600),
        "30",
        "Seconds that requests in flight get to finish when the daemon is stopped.",
    )
