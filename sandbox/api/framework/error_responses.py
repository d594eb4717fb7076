"""Which errors an operation may end with: the domain's classes, whose statuses :mod:`sandbox.http.replies` knows."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sandbox.api.internal.response_schemas import DIRECTORY_FIELD, INCIDENT, PARTIAL_OUTPUT, PATH_FIELD
from sandbox.api.internal.schemas import Schema
from sandbox.domain import errors
from sandbox.domain.errors import SandboxError
from sandbox.http.replies import Fields, answer_to


@attrs.frozen
class ErrorResponse:
    """A class of errors that an operation may end with.

    :ivar codes: those that occur.
    :ivar details: schemas of the further fields of its answer.
    """

    kind: type[SandboxError]
    codes: tuple[str, ...]
    details: Mapping[str, Schema] = attrs.field(factory=dict)

    @property
    def status(self) -> int:
        """What it is answered with."""
        return answer_to(self.kind)[0]

    @property
    def headers(self) -> Fields:
        """The header fields of that answer."""
        return answer_to(self.kind)[1]

    @property
    def meaning(self) -> str:
        """A sentence."""
        return (self.kind.__doc__ or "").partition("\n")[0]


def error_response(kind: type[SandboxError], *codes: str, details: Mapping[str, Schema] | None = None) -> ErrorResponse:
    """A fault with some codes of its class, or with all of them when none is named."""
    known = (kind.code, *kind.further)
    if not set(codes) <= set(known):
        raise ValueError(f"{kind.__name__} has no code {set(codes) - set(known)}")
    return ErrorResponse(kind, codes or known, details or {})


ErrorResponses = tuple[ErrorResponse, ...]


def _overloaded(*codes: str) -> ErrorResponse:
    return error_response(errors.Overloaded, *codes)


UNFORESEEN: ErrorResponses = (error_response(SandboxError, details=INCIDENT),)
#: Of every operation that needs the daemon to be ready.
ANY: ErrorResponses = (_overloaded("STARTING"), *UNFORESEEN)
KEY: ErrorResponses = (error_response(errors.ServiceKeyRejected),)
INPUT: ErrorResponses = (error_response(errors.InvalidRequest),)
BODY: ErrorResponses = (error_response(errors.BodyTooLarge), error_response(errors.AnswerMemoryExhausted))
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
    error_response(errors.DirectoryUnusable, details=DIRECTORY_FIELD),
    error_response(errors.ExecutionTimeout, details=PARTIAL_OUTPUT),
)
FILE: ErrorResponses = (
    *_INSIDE,
    error_response(errors.AnswerMemoryExhausted),
    error_response(errors.InvalidPath),
    error_response(errors.WorkspaceError, details=PATH_FIELD),
)
#: Of what is asked of the application in a session.
PREVIEW: ErrorResponses = (
    error_response(errors.PreviewNotRegistered),
    *CONTAINER,
    error_response(errors.ContainerWithoutAddress),
    error_response(errors.PreviewRefused),
    *ENGINE,
)
