"""What a client may send, and how long it may take."""

from __future__ import annotations

import attrs

from sandbox.settings import Settings


@attrs.frozen(kw_only=True)
class Limits:
    """What a client may send, in bytes, and how long it may take, in seconds.

    :ivar line: the request line; 414 beyond.
    :ivar head: the whole head; 431 beyond.
    :ivar fields: header fields, in number; 431 beyond.
    :ivar body: a body that is read before its resource is rendered; 413 beyond.
    :ivar head_timeout: from a head's first byte to its last; 408 beyond.
    :ivar idle_timeout: a connection without a request, or a reader that takes nothing.
    :ivar upload_timeout: a body of which nothing comes; 408 beyond.
    :ivar linger: how long at most to read on after an answer that did not wait for the body.
    :ivar linger_pause: the same, without a byte coming.
    :ivar greeting: how long a new connection without a request is kept when the site drains.
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
        """What the daemon was told."""
        return cls(
            line=settings.http_line_limit,
            head=settings.http_head_limit,
            fields=settings.http_field_limit,
            body=settings.body_limit,
            head_timeout=settings.http_head_timeout,
            idle_timeout=settings.http_idle_timeout,
            upload_timeout=settings.http_upload_timeout,
        )
