"""Domain errors. Independent of HTTP: ``sandbox.http.replies`` maps them to responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sandbox.domain.model import ExecResult

#: Codes of failures of the daemon or of a service it depends on. All other codes are caused by a client's request or by
#: a program in a container, and do not deserve a warning.
# fmt: off
OWN_FAULTS = frozenset({
    "ACCESS_UNAVAILABLE", "AGENT_UNAVAILABLE", "ENGINE_BUSY", "ENGINE_ERROR", "ENGINE_TLS", "ENGINE_UNAVAILABLE",
    "EXECUTION_FAILED", "INTERNAL", "IO_ERROR", "KILL_UNCONFIRMED", "NETWORK_UNSAFE", "STORE_BUSY", "STORE_UNAVAILABLE",
})
# fmt: on


class SandboxError(Exception):
    """Base class of expected errors.

    What a class knows beside its message are attributes of it; how these are called on the wire is an API's business.

    :cvar code: stable and machine-readable (contract section 1).
    :cvar further: what else the code of such an error may be; the API's description lists them.
    """

    code: ClassVar[str] = "INTERNAL"
    further: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # Not inherited: codes of a base class do not apply to its subclasses.
        cls.further = vars(cls).get("further", ())

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason_code = code or self.code


def is_own_fault(error: BaseException) -> bool:
    """Whether an error is a failure of the daemon, which includes every unexpected exception.

    >>> is_own_fault(ContainerNotFound("s1")), is_own_fault(StoreUnavailable("gone")), is_own_fault(KeyError("x"))
    (False, True, True)
    """
    return not isinstance(error, SandboxError) or error.reason_code in OWN_FAULTS


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


class Conflict(SandboxError):
    """The request conflicts with the current state of its resource."""

    code = "CONFLICT"
    further = ("SESSION_CREATING", "LINK_EXISTS")


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


class EngineError(SandboxError):
    """The engine reported an error. The message is the engine's; operations embed it in the contract's message."""

    code = "ENGINE_ERROR"
    further = ("AGENT_LOST", "AGENT_UNAVAILABLE", "ENGINE_TLS", "NETWORK_UNSAFE")


class EngineUnavailable(EngineError):
    """The engine is unavailable."""

    code = "ENGINE_UNAVAILABLE"


class ContainerUnresponsive(EngineUnavailable):
    """The engine did not come back from a call about this container a short while ago; it answers for the others."""

    code = EngineUnavailable.code

    def __init__(self, container_id: str) -> None:
        super().__init__(f"The Docker engine does not answer for container {container_id[:12]}")


class StoreUnavailable(SandboxError):
    """The database is unavailable."""

    code = "STORE_UNAVAILABLE"


class AccessUnavailable(StoreUnavailable):
    """Access cannot be checked, so the request is rejected."""

    code = "ACCESS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("Cannot check access right now")


class Overloaded(SandboxError):
    """A configured limit on concurrent work is reached; a later retry may succeed."""

    code = "OVERLOADED"
    # fmt: off
    further = (
        "STARTING", "SESSION_BUSY", "CONTAINER_BUSY", "ENGINE_BUSY", "STORE_BUSY",
        "TOO_MANY_EXECS", "TOO_MANY_LINKS", "TOO_MANY_PREVIEWS", "TOO_MANY_PREVIEW_CONNECTIONS",
    )
    # fmt: on


class AnswerMemoryExhausted(Overloaded):
    """All requests together hold the maximum of bytes that ``ANSWER_MEMORY`` allows."""

    code = "ANSWER_MEMORY"

    def __init__(self) -> None:
        super().__init__("Too much memory is in use by other requests")


class ExecutionFailed(SandboxError):
    """The command could not be run."""

    code = "EXECUTION_FAILED"
    # fmt: off
    further = (
        "COMMAND_NOT_FOUND", "COMMAND_NOT_EXECUTABLE", "ARGUMENTS_TOO_LONG", "PROCESS_LIMIT", "NO_WORKSPACE",
        "USER_UNKNOWN", "SUPERVISOR_LOST", "STOPPING", EngineUnavailable.code, EngineError.code, *EngineError.further,
    )
    # fmt: on

    def __init__(self, error: str, code: str | None = None) -> None:
        super().__init__(f"Execution failed: {error}", code=code)


class DirectoryUnusable(ExecutionFailed):
    """The command's working directory is not usable; the field `cwd` names it."""

    code = "CWD_UNUSABLE"

    def __init__(self, error: str, cwd: str) -> None:
        super().__init__(f"cwd: {error}: {cwd}")
        self.cwd = cwd


class ExecutionTimeout(SandboxError):
    """The command's time was up; its partial output comes with the error.

    :ivar result: that output, and what else is known of the command.
    """

    code = "EXECUTION_TIMEOUT"
    further = ("KILL_UNCONFIRMED",)

    def __init__(self, timeout_ms: int, result: ExecResult) -> None:
        code = "KILL_UNCONFIRMED" if result.survivors else None
        super().__init__(f"Execution timeout after {timeout_ms}ms", code=code)
        self.result = result


class WorkspaceError(SandboxError):
    """The container's file system or the engine reported an error; the field `path` has the request's path."""

    code = "IO_ERROR"
    # fmt: off
    further = (
        "FILE_NOT_FOUND", "IS_A_DIRECTORY", "NOT_A_DIRECTORY", "NOT_A_FILE", "NOT_UTF8", "NO_SPACE", "NO_WORKSPACE",
        "FILE_TOO_LARGE", "DIRECTORY_TOO_LARGE", "NAME_TOO_LONG", "PERMISSION_DENIED", "READ_ONLY", "TOO_MANY_LINKS",
        "PROCESS_LIMIT", "TIMEOUT", EngineUnavailable.code, EngineError.code, *EngineError.further,
    )
    # fmt: on

    def __init__(self, message: str, *, code: str | None = None, path: str | None = None) -> None:
        super().__init__(message, code=code)
        self.path = path


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
