"""Maps the agent's refusals to domain errors."""

from __future__ import annotations

import errno
import os

from sandbox.domain.errors import DirectoryUnusable, ExecutionFailed, InvalidPath, SandboxError, WorkspaceError
from sandbox.domain.model import ExecSpec
from sandbox.policy.paths import display_name
from sandbox.runtimes.docker.protocol import Refusal

# Stages and numbers of agent/agent.h.
STAGE_REQUEST, STAGE_PROCESS, STAGE_USER, STAGE_DIRECTORY, STAGE_PROGRAM, STAGE_FILE = range(6)
(
    OUTSIDE,
    NOT_A_FILE,
    FILE_TOO_LARGE,
    DIRECTORY_TOO_LARGE,
    MALFORMED,
    WORKER_LOST,
    USER_UNKNOWN,
    NO_RIGHTS,
    NO_WORKSPACE,
) = range(1000, 1009)

_OWN_WORDS = {
    NOT_A_FILE: "Not a regular file",
    FILE_TOO_LARGE: "File too large",
    DIRECTORY_TOO_LARGE: "Directory has too many entries",
    MALFORMED: "The agent did not understand the request",
    WORKER_LOST: "The process in charge was killed from inside the container",
    USER_UNKNOWN: "The container's user is not known inside it",
    NO_RIGHTS: "The agent lacks the capabilities to act as the container's user",
    NO_WORKSPACE: "/workspace is not a directory in the container",
    errno.ECANCELED: "Cancelled",
}

_FILE_CODES = {
    errno.ENOENT: "FILE_NOT_FOUND",
    errno.EISDIR: "IS_A_DIRECTORY",
    errno.ENOTDIR: "NOT_A_DIRECTORY",
    errno.ENOSPC: "NO_SPACE",
    errno.EDQUOT: "NO_SPACE",
    errno.EACCES: "PERMISSION_DENIED",
    errno.EPERM: "PERMISSION_DENIED",
    errno.EROFS: "READ_ONLY",
    errno.ELOOP: "TOO_MANY_LINKS",
    errno.ENAMETOOLONG: "NAME_TOO_LONG",
    errno.EFBIG: "FILE_TOO_LARGE",
    NOT_A_FILE: "NOT_A_FILE",
    FILE_TOO_LARGE: "FILE_TOO_LARGE",
    DIRECTORY_TOO_LARGE: "DIRECTORY_TOO_LARGE",
    NO_WORKSPACE: "NO_WORKSPACE",
}

_PROGRAM_CODES = {
    errno.ENOENT: "COMMAND_NOT_FOUND",
    errno.ENOTDIR: "COMMAND_NOT_FOUND",
    errno.EACCES: "COMMAND_NOT_EXECUTABLE",
    errno.ENOEXEC: "COMMAND_NOT_EXECUTABLE",
    errno.E2BIG: "ARGUMENTS_TOO_LONG",
}

_OWN_CODES = {WORKER_LOST: "SUPERVISOR_LOST", NO_WORKSPACE: "NO_WORKSPACE", USER_UNKNOWN: "USER_UNKNOWN"}

#: No more processes, or no memory for one.
_EXHAUSTED = (errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE)


def words(error: int) -> str:
    """The description of an error number: the system's, or this module's where the system has none."""
    return _OWN_WORDS.get(error) or os.strerror(error)


def file_error(refusal: Refusal) -> SandboxError:
    """The domain error for a refused file operation."""
    if refusal.error == OUTSIDE:
        return InvalidPath("a symbolic link leads out of /workspace")
    if refusal.stage == STAGE_PROCESS and refusal.error in _EXHAUSTED:
        return WorkspaceError("The container has no room for another process", code="PROCESS_LIMIT")
    return WorkspaceError(words(refusal.error), code=_FILE_CODES.get(refusal.error))


def execution_error(refusal: Refusal, spec: ExecSpec) -> SandboxError:
    """The domain error for a command that could not be run."""
    error, stage = refusal.error, refusal.stage
    if stage == STAGE_DIRECTORY and error == OUTSIDE:
        return InvalidPath("a symbolic link leads out of /workspace")
    if stage in (STAGE_PROCESS, STAGE_PROGRAM) and error in _EXHAUSTED:
        return ExecutionFailed("the container has no room for another process", "PROCESS_LIMIT")
    text, code = words(error), _OWN_CODES.get(error)
    if stage == STAGE_PROGRAM:
        text, code = f"{spec.argv[0][:256].decode('utf-8', 'replace')}: {text}", _PROGRAM_CODES.get(error)
    elif stage == STAGE_DIRECTORY and error != NO_WORKSPACE:
        return DirectoryUnusable(text, display_name(spec.cwd))
    return ExecutionFailed(text, code)
