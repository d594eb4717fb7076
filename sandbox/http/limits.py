"""Limits on requests: sizes and timeouts."""

from __future__ import annotations

import attrs

from sandbox.settings import Settings


@attrs.frozen(kw_only=True)
class Limits:
    """Limits on a client's requests: sizes in bytes, timeouts in seconds.

    :ivar line: request line; 414 beyond.
    :ivar head: whole head; 431 beyond.
    :ivar fields: number of header fields; 431 beyond.
    :ivar body: body that is buffered before its resource is rendered; 413 beyond.
    :ivar head_timeout: from the first byte of a head to its last; 408 beyond.
    :ivar idle_timeout: for a connection without a request, or a client that reads nothing of its response.
    :ivar upload_timeout: for a stalled body; 408 beyond.
    :ivar linger: maximum time of reading on after a response that did not wait for the body.
    :ivar linger_pause: the same, without any byte arriving.
    :ivar greeting: grace period of a new connection without a request while the site drains.
    """

    line: int = 16 * 1024
    head: int = 64 * 1024
    fields: int = 200
    body: int = 10 * 1024 * 1024
    head_timeout: float = 10.0
    idle_timeout: float = 75.0
    upload_timeout: float = 60.0
    linger: float = 30.0
    linger_pause: float = 5.0
    greeting: float = 1.0

    @classmethod
    def of(cls, settings: Settings) -> Limits:
        """Take the limits from the settings."""
        return cls(
            line=settings.http_line_limit,
            head=settings.http_head_limit,
            fields=settings.http_field_limit,
            body=settings.body_limit,
            head_timeout=settings.http_head_timeout,
            idle_timeout=settings.http_idle_timeout,
            upload_timeout=settings.http_upload_timeout,
        )
