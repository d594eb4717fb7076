"""Errors of commands and of files in a container."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.domain.errors.base import EngineError, EngineUnavailable, SandboxError

if TYPE_CHECKING:
    from sandbox.domain.model import ExecResult


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
