"""Errors of sessions and their containers."""

from __future__ import annotations

from sandbox.domain.errors.base import Conflict, SandboxError
from sandbox.domain.errors.requests import InvalidRequest


class SessionExists(Conflict):
    """The requested session id is taken."""

    code = "SESSION_EXISTS"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id} already exists")


class SessionsReadOnly(Conflict):
    """The sessions table belongs to a platform (``SESSIONS_READ_ONLY``), which manages its sessions itself."""

    code = "SESSIONS_READ_ONLY"

    def __init__(self) -> None:
        super().__init__(
            "The sessions table is the platform's and only read here (SESSIONS_READ_ONLY): manage sessions there"
        )


class SessionNotFound(SandboxError):
    """The store has no such session."""

    code = "SESSION_NOT_FOUND"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id} not found")


class ImageUnknown(InvalidRequest):
    """The engine has no such image."""

    code = "IMAGE_UNKNOWN"

    def __init__(self, image: str) -> None:
        super().__init__(f"Image {image} is not known to the engine")


class ImageUnusable(InvalidRequest):
    """The engine has the image, but cannot create a session's container from it."""

    code = "IMAGE_UNUSABLE"

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} cannot be used: {reason}")


class ContainerNotFound(SandboxError):
    """No container carries the session's label."""

    code = "CONTAINER_NOT_FOUND"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Failed to find container for session {session_id}")


class ContainerNotRunning(SandboxError):
    """The session's container exists but is not running (exited, created, paused, restarting, dead)."""

    code = "CONTAINER_NOT_RUNNING"
    further = ("CONTAINER_PAUSED",)

    def __init__(self, session_id: str, state: str | None = None) -> None:
        code = "CONTAINER_PAUSED" if state == "paused" else None
        super().__init__(f"Container for session {session_id} is not running", code=code)


class ContainerWithoutAddress(SandboxError):
    """The container has no address that the daemon can connect to."""

    code = "CONTAINER_NO_ADDRESS"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Container for session {session_id} has no IP address")


class PreviewRefused(SandboxError):
    """Previews of the container are forbidden (host network, privileged)."""

    code = "PREVIEW_REFUSED"

    def __init__(self, session_id: str, reason: str) -> None:
        super().__init__(f"Container for session {session_id} cannot be previewed: {reason}")
