"""What can go wrong, in the domain's words. No HTTP here: ``sandbox.http.replies`` maps these to answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from sandbox.domain.model import ExecResult

#: The codes of what is wrong with the daemon itself, or with what it stands on. All others are answers to what somebody
#: asked for, or to what runs in a container: neither a reason to warn nor to wake anybody.
# fmt: off
OWN_FAULTS = frozenset({
    "ACCESS_UNAVAILABLE", "AGENT_UNAVAILABLE", "ENGINE_BUSY", "ENGINE_ERROR", "ENGINE_TLS", "ENGINE_UNAVAILABLE",
    "EXECUTION_FAILED", "INTERNAL", "IO_ERROR", "KILL_UNCONFIRMED", "NETWORK_UNSAFE", "STORE_BUSY", "STORE_UNAVAILABLE",
})
# fmt: on


class SandboxError(Exception):
    """Anything that we can explain to a caller.

    What a class knows beside its message are attributes of it; how these are called on the wire is an API's business.

    :cvar code: stable and machine-readable (contract section 1).
    :cvar further: what else the code of such an error may be; the API's description lists them.
    """

    code: ClassVar[str] = "INTERNAL"
    further: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # A class's own: what its base class may carry says nothing of it.
        cls.further = vars(cls).get("further", ())

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason_code = code or self.code


def is_own_fault(error: BaseException) -> bool:
    """Whether an error is the daemon's own; what nobody foresaw is.

    >>> is_own_fault(ContainerNotFound("s1")), is_own_fault(StoreUnavailable("gone")), is_own_fault(KeyError("x"))
    (False, True, True)
    """
    return not isinstance(error, SandboxError) or error.reason_code in OWN_FAULTS


class InvalidRequest(SandboxError):
    """The request's body, query or id is not what the contract asks for; the message names the field."""

    code = "INVALID_REQUEST"


class InvalidPath(InvalidRequest):
    """A workspace path that the rules of contract section 3 refuse."""

    code = "INVALID_PATH"

    def __init__(self, reason: str) -> None:
        super().__init__(f"Invalid path: {reason}")


class BodyTooLarge(SandboxError):
    """A request body over the limit (contract section 1: 10 MiB)."""

    code = "BODY_TOO_LARGE"

    def __init__(self, limit: int) -> None:
        super().__init__(f"Request body is larger than {limit} bytes")


class UnknownPath(SandboxError):
    """There is nothing under that path."""

    code = "NOT_FOUND"


class Conflict(SandboxError):
    """The request cannot be carried out in the state that things are in."""

    code = "CONFLICT"
    further = ("SESSION_CREATING", "LINK_EXISTS")


class SessionExists(Conflict):
    """The id that was asked for is taken."""

    code = "SESSION_EXISTS"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id} already exists")


class SessionsReadOnly(Conflict):
    """The sessions table is a platform's own (``SESSIONS_READ_ONLY``): sessions live and die there."""

    code = "SESSIONS_READ_ONLY"

    def __init__(self) -> None:
        super().__init__(
            "The sessions table is the platform's and only read here (SESSIONS_READ_ONLY): manage sessions there"
        )


class SessionNotFound(SandboxError):
    """No such session in the store."""

    code = "SESSION_NOT_FOUND"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Session {session_id} not found")


class ImageUnknown(InvalidRequest):
    """The engine has no such image."""

    code = "IMAGE_UNKNOWN"

    def __init__(self, image: str) -> None:
        super().__init__(f"Image {image} is not known to the engine")


class ImageUnusable(InvalidRequest):
    """The engine has the image, but no session can be made of it."""

    code = "IMAGE_UNUSABLE"

    def __init__(self, image: str, reason: str) -> None:
        super().__init__(f"Image {image} cannot be used: {reason}")


class ContainerNotFound(SandboxError):
    """No container carries the session's label."""

    code = "CONTAINER_NOT_FOUND"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Failed to find container for session {session_id}")


class ContainerNotRunning(SandboxError):
    """The session's container exists but does not run (exited, created, paused, restarting, dead)."""

    code = "CONTAINER_NOT_RUNNING"
    further = ("CONTAINER_PAUSED",)

    def __init__(self, session_id: str, state: str | None = None) -> None:
        code = "CONTAINER_PAUSED" if state == "paused" else None
        super().__init__(f"Container for session {session_id} is not running", code=code)


class ContainerWithoutAddress(SandboxError):
    """The container has no address that the daemon could connect to."""

    code = "CONTAINER_NO_ADDRESS"

    def __init__(self, session_id: str) -> None:
        super().__init__(f"Container for session {session_id} has no IP address")


class PreviewRefused(SandboxError):
    """The container is one that previews must not reach (host network, privileged)."""

    code = "PREVIEW_REFUSED"

    def __init__(self, session_id: str, reason: str) -> None:
        super().__init__(f"Container for session {session_id} cannot be previewed: {reason}")


class EngineError(SandboxError):
    """The engine refused or failed, in its own words; operations put them into the contract's sentence."""

    code = "ENGINE_ERROR"
    further = ("AGENT_LOST", "AGENT_UNAVAILABLE", "ENGINE_TLS", "NETWORK_UNSAFE")


class EngineUnavailable(EngineError):
    """The engine does not answer."""

    code = "ENGINE_UNAVAILABLE"


class ContainerUnresponsive(EngineUnavailable):
    """The engine did not come back from a call about this container a short while ago; it answers for the others."""

    code = EngineUnavailable.code

    def __init__(self, container_id: str) -> None:
        super().__init__(f"The Docker engine does not answer for container {container_id[:12]}")


class StoreUnavailable(SandboxError):
    """The database does not answer."""

    code = "STORE_UNAVAILABLE"


class AccessUnavailable(StoreUnavailable):
    """Whether a request may pass cannot be told, so it may not."""

    code = "ACCESS_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("Cannot check access right now")


class Overloaded(SandboxError):
    """A configured limit on work at once is reached; trying again later may succeed."""

    code = "OVERLOADED"
    # fmt: off
    further = (
        "STARTING", "SESSION_BUSY", "CONTAINER_BUSY", "ENGINE_BUSY", "STORE_BUSY",
        "TOO_MANY_EXECS", "TOO_MANY_LINKS", "TOO_MANY_PREVIEWS", "TOO_MANY_PREVIEW_CONNECTIONS",
    )
    # fmt: on


class AnswerMemoryExhausted(Overloaded):
    """All requests together hold as many bytes as ``ANSWER_MEMORY`` allows."""

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
    """The command's working directory could not be entered; the field `cwd` names it."""

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
    """The container's file system or the engine refused, in its own words; the field `path` has the request's path."""

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
    """No port, or not that one, was registered for the session since the daemon started.

    :param port: the port that was asked for, where another one is registered.
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
    """The application's answer is not HTTP."""

    code = "PREVIEW_BAD_ANSWER"

    def __init__(self) -> None:
        super().__init__("Bad Gateway")


class PreviewTimedOut(SandboxError):
    """The application accepted the request and did not begin to answer in time."""

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
    """A valid token of somebody who does not own the session."""

    code = "ACCESS_DENIED"

    def __init__(self) -> None:
        super().__init__("You do not have permission to access this preview")


class CrossOriginDenied(AccessDenied):
    """A browser's cookie with a request that another site's or another preview's page made it send."""

    code = "CROSS_ORIGIN"
