"""The errors of the internal API: how they are said, and which of them operations may end with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Self

from sandbox.api.framework import errors as framework
from sandbox.api.framework.errors import CommonErrors, ErrorResponse, ErrorResponses
from sandbox.api.framework.messages import Message, member
from sandbox.api.framework.schemas import Schema
from sandbox.domain import errors
from sandbox.domain.errors import SandboxError
from sandbox.http.replies import CONTRACT, ErrorEncoder

_TEXT: Schema = {"type": "string"}


class PartialOutput(Message):
    """What a command had done when its time was up (contract section 2)."""

    stdout: bytes = member(_TEXT)
    stderr: bytes = member(_TEXT)
    duration_ms: int = member({"type": "integer", "minimum": 0})
    truncated: bool = member({"type": "boolean"})
    survivors: int = member(
        {
            "type": "integer",
            "minimum": 0,
            "description": "Processes that could not be confirmed dead (`KILL_UNCONFIRMED`); 0 is the rule.",
        }
    )

    @classmethod
    def of(cls, error: errors.ExecutionTimeout) -> Self:
        """What an error knows of its command."""
        result = error.result
        return cls(
            stdout=result.stdout,
            stderr=result.stderr,
            duration_ms=result.duration_ms,
            truncated=result.truncated,
            survivors=result.survivors,
        )


class UnusableDirectory(Message):
    """Which directory could not be entered."""

    cwd: str = member({**_TEXT, "description": "The directory that was asked for."})

    @classmethod
    def of(cls, error: errors.DirectoryUnusable) -> Self:
        """What an error knows of it."""
        return cls(cwd=error.cwd)


class FailedPath(Message):
    """Which path a file operation failed with."""

    path: str = member({**_TEXT, "description": "The path that was asked for."})

    @classmethod
    def of(cls, error: errors.WorkspaceError) -> Self:
        """What an error knows of it."""
        return cls(path=error.path or "")


#: The further fields of an error's answer, by its class.
_FURTHER: Mapping[type[SandboxError], Any] = {
    errors.ExecutionTimeout: PartialOutput,
    errors.DirectoryUnusable: UnusableDirectory,
    errors.WorkspaceError: FailedPath,
}
#: Beside an unforeseen error's own fields (contract section 1).
_INCIDENT: dict[str, Schema] = {
    "incident": {**_TEXT, "description": "Stands in the daemon's log beside the traceback."}
}


def _encoder(message: Any) -> Callable[[Any], Mapping[str, Any]]:
    return lambda error: message.of(error).encode()


#: Says all errors of the API.
ERRORS: ErrorEncoder = CONTRACT.extended({kind: _encoder(message) for kind, message in _FURTHER.items()})


def error_response(kind: type[SandboxError], *codes: str) -> ErrorResponse:
    """See :func:`sandbox.api.framework.errors.error_response`; with the fields that its answer has here."""
    return framework.error_response(kind, *codes, further=_FURTHER[kind].properties if kind in _FURTHER else None)


def _overloaded(*codes: str) -> ErrorResponse:
    return error_response(errors.Overloaded, *codes)


UNFORESEEN: ErrorResponses = (framework.error_response(errors.SandboxError, further=_INCIDENT),)
COMMON = CommonErrors(
    input=(error_response(errors.InvalidRequest),),
    authentication=(error_response(errors.ServiceKeyRejected),),
    body=(error_response(errors.BodyTooLarge), error_response(errors.AnswerMemoryExhausted)),
    # Of every operation that needs the daemon to be ready.
    always=(_overloaded("STARTING"), *UNFORESEEN),
)
STORE: ErrorResponses = (_overloaded("STORE_BUSY"), error_response(errors.StoreUnavailable))
ENGINE: ErrorResponses = (
    _overloaded("ENGINE_BUSY"),
    error_response(errors.EngineError, errors.EngineError.code),
    error_response(errors.EngineUnavailable),
)
#: Of what needs a container that runs.
CONTAINER: ErrorResponses = (error_response(errors.ContainerNotFound), error_response(errors.ContainerNotRunning))
#: Of what changes a session, one change at a time.
CHANGE: ErrorResponses = (*STORE, *ENGINE, _overloaded("SESSION_BUSY"), error_response(errors.SessionsReadOnly))
_INSIDE: ErrorResponses = (
    *CONTAINER,
    _overloaded("ENGINE_BUSY", "CONTAINER_BUSY"),
    error_response(errors.EngineUnavailable),
)
COMMAND: ErrorResponses = (
    *_INSIDE,
    error_response(errors.InvalidPath),
    _overloaded("TOO_MANY_EXECS"),
    error_response(errors.ExecutionFailed),
    error_response(errors.DirectoryUnusable),
    error_response(errors.ExecutionTimeout),
)
FILE: ErrorResponses = (
    *_INSIDE,
    error_response(errors.AnswerMemoryExhausted),
    error_response(errors.InvalidPath),
    error_response(errors.WorkspaceError),
)
#: Of what is asked of the application in a session.
PREVIEW: ErrorResponses = (
    error_response(errors.PreviewNotRegistered),
    *CONTAINER,
    error_response(errors.ContainerWithoutAddress),
    error_response(errors.PreviewRefused),
    *ENGINE,
)
