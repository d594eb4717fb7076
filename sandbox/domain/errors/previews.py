"""Errors of previews: the gateway's to a browser, the API's to the platform."""

from __future__ import annotations

from sandbox.domain.errors.base import SandboxError


class PreviewNotRegistered(SandboxError):
    """No port, or a different one, was registered for the session since the daemon started.

    :param port: the requested port, where another one is registered.
    """

    code = "PREVIEW_NOT_REGISTERED"

    def __init__(self, session_id: str, port: int | None = None) -> None:
        if port is None:
            super().__init__(f"No preview port registered for session {session_id}")
        else:
            super().__init__(f"No preview registered on port {port} of session {session_id}")
        self.port = port


class PreviewUnreachable(SandboxError):
    """Connecting to the application failed, or the connection broke before a response head."""

    code = "PREVIEW_UNREACHABLE"

    def __init__(self) -> None:
        super().__init__("Failed to connect to preview server")


class PreviewMisbehaved(SandboxError):
    """The application's response is not valid HTTP."""

    code = "PREVIEW_BAD_ANSWER"

    def __init__(self) -> None:
        super().__init__("Bad Gateway")


class PreviewTimedOut(SandboxError):
    """The application accepted the request, but did not begin its response within the timeout."""

    code = "PREVIEW_TIMEOUT"

    def __init__(self) -> None:
        super().__init__("Preview server timed out")
