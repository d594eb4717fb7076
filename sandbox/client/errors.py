"""What can go wrong with a call. The daemon's errors become exceptions by their ``code`` (contract section 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Whatever this package raises when a call fails."""


class ConfigurationError(ClientError):
    """The URL or the key is missing, does not parse or is not kept as it should be, or the reactor is none that can run
    the calls; the message says what to do."""


class Unreachable(ClientError):
    """No connection could be made: nothing was sent."""


class ConnectionLost(ClientError):
    """The connection broke before a whole answer: what was asked for may have been done, or not."""


class AnswerTimeout(ClientError):
    """No whole answer in time: what was asked for may have been done, or not."""


class BadAnswer(ClientError):
    """The answer is none that the contract describes: something else listens there, or stands between."""


class AnswerTooLarge(BadAnswer):
    """The answer is longer than the client was told to accept."""


class ApiError(ClientError):
    """The daemon said no.

    :ivar status: the HTTP status.
    :ivar code: stable and machine-readable, such as ``SESSION_NOT_FOUND``.
    :ivar message: the daemon's sentence.
    :ivar details: the answer's further fields.
    :ivar request_id: what the daemon's log calls the request, or ``None``.
    :ivar retry_after: seconds that the daemon asks to wait before another try, or ``None``.
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
    """A field, parameter or id is not what the contract asks for; the message names it."""


class InvalidPath(InvalidRequest):
    """A path that leads out of the workspace, or cannot be one."""


class ImageUnknown(InvalidRequest):
    """The engine has no such image."""


class BodyTooLarge(ApiError):
    """The request is over the daemon's limit (10 MiB unless configured)."""


class Forbidden(ApiError):
    """The service key is missing or wrong."""


class NotFound(ApiError):
    """There is no such thing."""


class SessionNotFound(NotFound):
    """No such session."""


class PreviewNotRegistered(NotFound):
    """No port was registered for the session since the daemon started."""


class Conflict(ApiError):
    """It cannot be done in the state that things are in."""


class SessionExists(Conflict):
    """The id is taken."""


class SessionsReadOnly(Conflict):
    """Sessions are another program's, and only read here."""


class IdempotencyKeyReused(Conflict):
    """The key came with another command before."""


class OutcomeUnknown(Conflict):
    """The daemon was asked for the outcome of an earlier call and does not know of it."""


class ContainerError(ApiError):
    """The session's container cannot do it."""


class ContainerNotFound(ContainerError):
    """No container carries the session's label."""


class ContainerNotRunning(ContainerError):
    """The session's container does not run."""


class PreviewRefused(ContainerError):
    """The session's container is one that previews must not reach."""


class ExecutionFailed(ApiError):
    """The command could not be run."""


class CommandNotFound(ExecutionFailed):
    """There is no such program in the container."""


class CommandNotExecutable(ExecutionFailed):
    """The program may not be run, or is none."""


class ExecutionTimeout(ExecutionFailed):
    """The command's time was up; it and all it started are gone unless ``code`` is ``KILL_UNCONFIRMED``."""

    @property
    def stdout(self) -> str:
        """What it had printed."""
        return str(self.details.get("stdout", ""))

    @property
    def stderr(self) -> str:
        """What it had printed on its error stream."""
        return str(self.details.get("stderr", ""))


class FileError(ApiError):
    """The container's file system refused; ``code`` tells why."""


class FileNotFound(FileError):
    """There is no such file or directory."""


class IsADirectory(FileError):
    """A file was asked for."""


class NotADirectory(FileError):
    """A directory was asked for."""


class NotText(FileError):
    """The file is not UTF-8, so the API cannot carry it."""


class NoSpace(FileError):
    """The disk, or the quota, is full; an existing file is as it was."""


class Unavailable(ApiError):
    """The daemon cannot do it now; trying again later may succeed."""


class EngineUnavailable(Unavailable):
    """The Docker engine does not answer the daemon."""


class StoreUnavailable(Unavailable):
    """The database does not answer the daemon."""


class InternalError(ApiError):
    """Nobody foresaw this; ``details["incident"]`` stands in the daemon's log beside the traceback."""


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
    """The class of a daemon's error: by its code, else by its status, else what the call's failures are called.

    :param family: for the many codes in which engine and file system say why a command or a file operation failed.
    """
    return _BY_CODE.get(code) or _BY_STATUS.get(status) or family
