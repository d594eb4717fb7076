"""The API's description as one HTML page, complete in itself: rendered before it is shipped, and served as it is.

``docs/extensions/api_page.py`` renders ``page.html`` from the endpoints; a test compares the two.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_POLICY = re.compile(rb'<meta http-equiv="Content-Security-Policy" content="([^"]+)"')


@cache
def page() -> bytes:
    """The page, in UTF-8."""
    return Path(__file__).with_name("page.html").read_bytes()


@cache
def fields() -> tuple[tuple[bytes, bytes], ...]:
    """The header fields that the page is served with: a browser then runs and fetches nothing for it."""
    # The policy allows the page's one style by its digest, so it stands in the page.
    (policy,) = _POLICY.findall(page())
    return (
        (b"content-security-policy", policy + b"; frame-ancestors 'none'"),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
    )
