"""Errors of calls. The daemon's errors are mapped to exceptions by their ``code`` (contract section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Base class of the errors of this package."""


class ConfigurationError(ClientError):
    """The URL or the key is missing, invalid or readable by others, or the reactor cannot run the calls; the message
    names the remedy."""


class Unreachable(ClientError):
    """Connecting failed: nothing was sent."""


class ConnectionLost(ClientError):
    """The connection was lost before the response was complete: the outcome is unknown."""


class AnswerTimeout(ClientError):
    """The response was not complete within the timeout: the outcome is unknown."""


class BadAnswer(ClientError):
    """The response violates the contract: it comes from another program or from an intermediary."""


class AnswerTooLarge(BadAnswer):
    """The response exceeds the client's limit."""


class ApiError(ClientError):
    """The daemon responded with an error.

    :ivar status: the HTTP status.
    :ivar code: stable and machine-readable, such as ``SESSION_NOT_FOUND``.
    :ivar message: the daemon's sentence.
    :ivar details: additional fields of the response.
    :ivar request_id: the request's id in the daemon's log, or ``None``.
    :ivar retry_after: seconds to wait before a retry, requested by the daemon, or ``None``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        details: Mapping[str, Any] | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.details: Mapping[str, Any] = details or {}
        self.request_id = request_id
        self.retry_after = retry_after


class InvalidRequest(ApiError):
    """A field, parameter or id violates the contract; the message names it."""


class InvalidPath(InvalidRequest):
    """The path is invalid, or leads out of the workspace."""


class ImageUnknown(InvalidRequest):
    """The engine has no such image."""


class BodyTooLarge(ApiError):
    """The request body exceeds the daemon's limit (10 MiB by default)."""


class Forbidden(ApiError):
    """The service key is missing or wrong."""


class NotFound(ApiError):
    """The resource does not exist."""


class SessionNotFound(NotFound):
    """The session does not exist."""


class PreviewNotRegistered(NotFound):
    """No port was registered for the session since the daemon started."""


class Conflict(ApiError):
    """The request conflicts with the current state."""


class SessionExists(Conflict):
    """The session id is taken."""


class SessionsReadOnly(Conflict):
    """Sessions are managed by a platform and read-only here."""


class IdempotencyKeyReused(Conflict):
    """The key was used with another command before."""


class OutcomeUnknown(Conflict):
    """The daemon does not know the outcome of the earlier call."""


class ContainerError(ApiError):
    """The session's container is missing or in the wrong state."""


class ContainerNotFound(ContainerError):
    """No container carries the session's label."""


class ContainerNotRunning(ContainerError):
    """The session's container is not running."""


class PreviewRefused(ContainerError):
    """Previews of the session's container are forbidden."""


class ExecutionFailed(ApiError):
    """The command could not be run."""


class CommandNotFound(ExecutionFailed):
    """The program does not exist in the container."""


class CommandNotExecutable(ExecutionFailed):
    """The program is not executable."""


class ExecutionTimeout(ExecutionFailed):
    """The command's timeout expired; it and its descendants were killed unless ``code`` is ``KILL_UNCONFIRMED``."""

    @property
    def stdout(self) -> str:
        """Partial output."""
        return str(self.details.get("stdout", ""))

    @property
    def stderr(self) -> str:
        """Partial error output."""
        return str(self.details.get("stderr", ""))


class FileError(ApiError):
    """The container's file system reported an error, which ``code`` identifies."""


class FileNotFound(FileError):
    """The file or directory does not exist."""


class IsADirectory(FileError):
    """The path is a directory, not a file."""


class NotADirectory(FileError):
    """The path is not a directory."""


class NotText(FileError):
    """The file is not UTF-8 text, the only content that the API transfers."""


class NoSpace(FileError):
    """The disk or quota is full; an existing file is unchanged."""


class Unavailable(ApiError):
    """The daemon is temporarily unable to handle the request; a later retry may succeed."""


class EngineUnavailable(Unavailable):
    """The Docker engine is unavailable to the daemon."""


class StoreUnavailable(Unavailable):
    """The database is unavailable to the daemon."""


class InternalError(ApiError):
    """An unexpected error; the daemon's log has its traceback under ``details["incident"]``."""


_BY_CODE: Mapping[str, type[ApiError]] = {
    "INVALID_PATH": InvalidPath,
    "IMAGE_UNKNOWN": ImageUnknown,
    "SESSION_NOT_FOUND": SessionNotFound,
    "PREVIEW_NOT_REGISTERED": PreviewNotRegistered,
    "SESSION_EXISTS": SessionExists,
    "SESSIONS_READ_ONLY": SessionsReadOnly,
    "IDEMPOTENCY_KEY_REUSED": IdempotencyKeyReused,
    "IDEMPOTENCY_KEY_UNKNOWN": OutcomeUnknown,
    "CONTAINER_NOT_FOUND": ContainerNotFound,
    "CONTAINER_NOT_RUNNING": ContainerNotRunning,
    "CONTAINER_PAUSED": ContainerNotRunning,
    "CONTAINER_NO_ADDRESS": ContainerError,
    "PREVIEW_REFUSED": PreviewRefused,
    "COMMAND_NOT_FOUND": CommandNotFound,
    "COMMAND_NOT_EXECUTABLE": CommandNotExecutable,
    "EXECUTION_TIMEOUT": ExecutionTimeout,
    "KILL_UNCONFIRMED": ExecutionTimeout,
    "FILE_NOT_FOUND": FileNotFound,
    "IS_A_DIRECTORY": IsADirectory,
    "NOT_A_DIRECTORY": NotADirectory,
    "NOT_UTF8": NotText,
    "NO_SPACE": NoSpace,
    "ENGINE_UNAVAILABLE": EngineUnavailable,
    "STORE_UNAVAILABLE": StoreUnavailable,
    "INTERNAL": InternalError,
}
_BY_STATUS: Mapping[int, type[ApiError]] = {
    400: InvalidRequest,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: BodyTooLarge,
    503: Unavailable,
}


def error_class(status: int, code: str, family: type[ApiError]) -> type[ApiError]:
    """Return the class of a daemon's error: by its code, else by its status, else the call's family.

    :param family: the class for the many other codes of failed commands or file operations.
    """
    return _BY_CODE.get(code) or _BY_STATUS.get(status) or family
