"""Errors of a request: what it asks for, and who asks."""

from __future__ import annotations

from sandbox.domain.errors.base import SandboxError, StoreUnavailable


class InvalidRequest(SandboxError):
    """The request's body, query or id violates the contract; the message names the field."""

    code = "INVALID_REQUEST"


class InvalidPath(InvalidRequest):
    """The workspace path violates the rules of contract section 3."""

    code = "INVALID_PATH"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid path: {reason}")


class BodyTooLarge(SandboxError):
    """The request body exceeds the limit (contract section 1: 10 MiB)."""

    code = "BODY_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"Request body is larger than {limit} bytes")


class UnknownPath(SandboxError):
    """No resource exists at the path."""

    code = "NOT_FOUND"


class ServiceKeyRejected(SandboxError):
    """The internal service key is missing or wrong."""

    code = "FORBIDDEN"

    def __init__(self) -> None:
        super().__init__("Forbidden")


class TokenRejected(SandboxError):
    """The access token is missing, invalid or expired (contract section 6)."""

    code = "TOKEN_INVALID"
    further = ("TOKEN_MISSING", "TOKEN_EXPIRED")


class AccessDenied(SandboxError):
    """The token is valid, but its user does not own the session."""

    code = "ACCESS_DENIED"

    def __init__(self) -> None:
        super().__init__("You do not have permission to access this preview")


class CrossOriginDenied(AccessDenied):
    """A cookie on a cross-origin request: a page of another site or another preview made the browser send it."""

    code = "CROSS_ORIGIN"


class AccessUnavailable(StoreUnavailable):
    """Access cannot be checked, so the request is rejected."""

    code = "ACCESS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("Cannot check access right now")
