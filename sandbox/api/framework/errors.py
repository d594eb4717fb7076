"""Which errors an operation may end with; what each is answered with its API's encoder knows."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from sandbox.api.framework.schemas import Schema
from sandbox.domain.errors import SandboxError


@attrs.frozen
class ErrorResponse:
    """A class of errors that an operation may end with.

    :ivar codes: those that occur.
    :ivar further: schemas of the further fields of its answer.
    """

    kind: type[SandboxError]
    codes: tuple[str, ...]
    further: Mapping[str, Schema] = attrs.field(factory=dict)

    @property
    def meaning(self) -> str:
        """A sentence."""
        return (self.kind.__doc__ or "").partition("\n")[0]


def error_response(kind: type[SandboxError], *codes: str, further: Mapping[str, Schema] | None = None) -> ErrorResponse:
    """A class of errors with some of its codes, or with all of them when none is named."""
    known = (kind.code, *kind.further)
    if not set(codes) <= set(known):
        raise ValueError(f"{kind.__name__} has no code {set(codes) - set(known)}")
    return ErrorResponse(kind, codes or known, further or {})


ErrorResponses = tuple[ErrorResponse, ...]


@attrs.frozen(kw_only=True)
class CommonErrors:
    """The errors that operations of an API share, by what they come of.

    :ivar input: parameters.
    :ivar authentication: credentials.
    :ivar body: a body.
    :ivar always: nothing that was asked for.
    """

    input: ErrorResponses = ()
    authentication: ErrorResponses = ()
    body: ErrorResponses = ()
    always: ErrorResponses = ()
