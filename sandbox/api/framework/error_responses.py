"""Which errors an operation may end with: the domain's classes, whose statuses :mod:`sandbox.http.replies` knows."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sandbox.api.internal.response_schemas import INCIDENT, PARTIAL_OUTPUT
from sandbox.api.internal.schemas import Schema
from sandbox.domain import errors
from sandbox.domain.errors import SandboxError
from sandbox.http.replies import Fields, answer_to


@attrs.frozen
class Fault:
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


def fault(kind: type[SandboxError], *codes: str, details: Mapping[str, Schema] | None = None) -> Fault:
    """A fault with some codes of its class, or with all of them when none is named."""
    known = (kind.code, *kind.further)
    if not set(codes) <= set(known):
        raise ValueError(f"{kind.__name__} has no code {set(codes) - set(known)}")
    return Fault(kind, codes or known, details or {})


Faults = tuple[Fault, ...]


def _overloaded(*codes: str) -> Fault:
    return fault(errors.Overloaded, *codes)


UNFORESEEN: Faults = (fault(SandboxError, details=INCIDENT),)
#: Of every operation that needs the daemon to be ready.
ANY: Faults = (_overloaded("STARTING"), *UNFORESEEN)
KEY: Faults = (fault(errors.ServiceKeyRejected),)
INPUT: Faults = (fault(errors.InvalidRequest),)
BODY: Faults = (fault(errors.BodyTooLarge),)
STORE: Faults = (_overloaded("STORE_BUSY"), fault(errors.StoreUnavailable))
ENGINE: Faults = (
    _overloaded("ENGINE_BUSY"),
    fault(errors.EngineError, errors.EngineError.code),
    fault(errors.EngineUnavailable),
)
#: Of what needs a container that runs.
CONTAINER: Faults = (fault(errors.ContainerNotFound), fault(errors.ContainerNotRunning))
#: Of what changes a session, one change at a time.
CHANGE: Faults = (*STORE, *ENGINE, _overloaded("SESSION_BUSY"), fault(errors.SessionsReadOnly))
_INSIDE: Faults = (*CONTAINER, _overloaded("ENGINE_BUSY", "CONTAINER_BUSY"), fault(errors.EngineUnavailable))
COMMAND: Faults = (
    *_INSIDE,
    fault(errors.InvalidPath),
    _overloaded("TOO_MANY_EXECS"),
    fault(errors.ExecutionFailed),
    fault(errors.ExecutionTimeout, details=PARTIAL_OUTPUT),
)
FILE: Faults = (*_INSIDE, fault(errors.InvalidPath), fault(errors.WorkspaceError))
#: Of what is asked of the application in a session.
PREVIEW: Faults = (
    fault(errors.PreviewNotRegistered),
    *CONTAINER,
    fault(errors.ContainerWithoutAddress),
    fault(errors.PreviewRefused),
    *ENGINE,
)
