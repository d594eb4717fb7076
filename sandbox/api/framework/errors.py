"""The errors that an operation may raise; the API's encoder maps each to its response."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sandbox.api.framework.schemas import Schema
from sandbox.domain.errors import SandboxError


@attrs.frozen
class ErrorResponse:
    """A class of errors that an operation may raise.

    :ivar codes: the codes that occur.
    :ivar further: schemas of the additional fields of its response.
    """

    kind: type[SandboxError]
    codes: tuple[str, ...]
    further: Mapping[str, Schema] = attrs.field(factory=dict)

    @property
    def meaning(self) -> str:
        """The error's description, one sentence."""
        return (self.kind.__doc__ or "").partition("\n")[0]


def error_response(kind: type[SandboxError], *codes: str, further: Mapping[str, Schema] | None = None) -> ErrorResponse:
    """A class of errors with the given codes, or with all of its codes when none is given."""
    known = (kind.code, *kind.further)
    if not set(codes) <= set(known):
        raise ValueError(f"{kind.__name__} has no code {set(codes) - set(known)}")
    return ErrorResponse(kind, codes or known, further or {})


ErrorResponses = tuple[ErrorResponse, ...]


@attrs.frozen(kw_only=True)
class CommonErrors:
    """The errors that operations of an API share, by cause.

    :ivar input: the parameters.
    :ivar authentication: the credentials.
    :ivar body: the body.
    :ivar always: the daemon's state, independent of the request.
    """

    input: ErrorResponses = ()
    authentication: ErrorResponses = ()
    body: ErrorResponses = ()
    always: ErrorResponses = ()
