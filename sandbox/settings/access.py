"""Access control of previews."""

from __future__ import annotations

import attrs

from sandbox.settings.kinds import FLAG, jwt_secret, number, whole
from sandbox.settings.variable import variable


@attrs.frozen(kw_only=True, slots=False)
class Access:
    """Access control of previews."""

    enable_preview_access_control: bool = variable(
        "ENABLE_PREVIEW_ACCESS_CONTROL",
        FLAG,
        "false",
        "Require a JWT of the session's owner, or a link, for every preview, by path and by host.",
    )
    jwt_secret: str | None = variable(
        "JWT_SECRET",
        (
            jwt_secret,
            "a text that is not empty, or several of at least 32 bytes each, separated by commas; no public key",
        ),
        None,
        "HS256 secret shared with the platform's gateway, or the newest and older ones during a rotation; required "
        "when access control is on.",
        secret=True,
        live=True,
    )
    jwt_leeway: float = variable(
        "JWT_LEEWAY", number(0, 600), "0", "Seconds by which the platform's clock may differ from this machine's."
    )
    access_cache_seconds: float = variable(
        "ACCESS_CACHE_SECONDS",
        number(0.1, 3600),
        "30",
        "Seconds that a session's owner is cached; also how long access lasts while the database is unavailable.",
    )
    access_negative_cache_seconds: float = variable(
        "ACCESS_NEGATIVE_CACHE_SECONDS",
        number(0.1, 3600),
        "2",
        "Seconds that the absence of a session's owner is cached.",
    )
    preview_cookie_seconds: int = variable(
        "PREVIEW_COOKIE_SECONDS",
        whole(10, 86_400),
        "1800",
        "Lifetime in seconds of the cookie of an opened preview link; use renews it until the link expires.",
    )
