"""Domain errors, by subject. Independent of HTTP: :mod:`sandbox.http.replies` maps them to responses."""

from __future__ import annotations

from sandbox.domain.errors.base import (
    OWN_FAULTS,
    AnswerMemoryExhausted,
    Conflict,
    ContainerUnresponsive,
    EngineError,
    EngineUnavailable,
    Overloaded,
    SandboxError,
    StoreUnavailable,
    is_own_fault,
)
from sandbox.domain.errors.execution import DirectoryUnusable, ExecutionFailed, ExecutionTimeout, WorkspaceError
from sandbox.domain.errors.previews import PreviewMisbehaved, PreviewNotRegistered, PreviewTimedOut, PreviewUnreachable
from sandbox.domain.errors.requests import (
    AccessDenied,
    AccessUnavailable,
    BodyTooLarge,
    CrossOriginDenied,
    InvalidPath,
    InvalidRequest,
    ServiceKeyRejected,
    TokenRejected,
    UnknownPath,
)
from sandbox.domain.errors.sessions import (
    ContainerNotFound,
    ContainerNotRunning,
    ContainerWithoutAddress,
    ImageUnknown,
    ImageUnusable,
    PreviewRefused,
    SessionExists,
    SessionNotFound,
    SessionsReadOnly,
)

__all__ = [
    "OWN_FAULTS",
    "AccessDenied",
    "AccessUnavailable",
    "AnswerMemoryExhausted",
    "BodyTooLarge",
    "Conflict",
    "ContainerNotFound",
    "ContainerNotRunning",
    "ContainerUnresponsive",
    "ContainerWithoutAddress",
    "CrossOriginDenied",
    "DirectoryUnusable",
    "EngineError",
    "EngineUnavailable",
    "ExecutionFailed",
    "ExecutionTimeout",
    "ImageUnknown",
    "ImageUnusable",
    "InvalidPath",
    "InvalidRequest",
    "Overloaded",
    "PreviewMisbehaved",
    "PreviewNotRegistered",
    "PreviewRefused",
    "PreviewTimedOut",
    "PreviewUnreachable",
    "SandboxError",
    "ServiceKeyRejected",
    "SessionExists",
    "SessionNotFound",
    "SessionsReadOnly",
    "StoreUnavailable",
    "TokenRejected",
    "UnknownPath",
    "WorkspaceError",
    "is_own_fault",
]
