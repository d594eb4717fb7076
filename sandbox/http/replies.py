"""Mapping of errors to responses: the only table that knows both domain errors and HTTP (contract section 1)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import attrs
from twisted.logger import Logger
from twisted.python.failure import Failure

from sandbox.domain import errors
from sandbox.http.encoding import encode

_log = Logger()

Fields = tuple[tuple[bytes, bytes], ...]
_RETRY = ((b"retry-after", b"2"),)
_BEARER = ((b"www-authenticate", b"Bearer"),)

#: Looked up by class; the first match wins, so subclasses precede their base classes.
_TABLE: tuple[tuple[type[errors.SandboxError], int, Fields], ...] = (
    (errors.BodyTooLarge, 413, ()),
    (errors.InvalidRequest, 400, ()),
    (errors.ServiceKeyRejected, 403, ()),
    (errors.TokenRejected, 401, _BEARER),
    (errors.AccessDenied, 403, ()),
    (errors.UnknownPath, 404, ()),
    (errors.SessionNotFound, 404, ()),
    (errors.PreviewNotRegistered, 404, ()),
    (errors.Conflict, 409, ()),
    (errors.PreviewUnreachable, 502, _RETRY),
    (errors.PreviewMisbehaved, 502, ()),
    (errors.PreviewTimedOut, 504, ()),
    (errors.PreviewRefused, 502, ()),
    (errors.Overloaded, 503, _RETRY),
    (errors.StoreUnavailable, 503, _RETRY),
    (errors.EngineUnavailable, 503, _RETRY),
    (errors.SandboxError, 500, ()),
)


@attrs.frozen
class Reply:
    """A complete response.

    :ivar headers: fields beside Content-Type and Content-Length.
    :ivar payload: what becomes its JSON body, see :mod:`sandbox.http.encoding`; ``None`` for an answer without one.
    :ivar error: the stable code of the error that it says, for the log and the metrics; ``""`` of any other.
    """

    status: int
    payload: dict[str, Any] | Sequence[Any] | None
    headers: Fields = ()
    error: str = ""

    def pieces(self) -> Iterator[bytes]:
        """The payload as UTF-8 JSON, in lazily encoded pieces."""
        return iter(()) if self.payload is None else encode(self.payload)

    def body(self) -> bytes:
        """The payload as UTF-8 JSON."""
        return b"".join(self.pieces())


class ErrorEncoder:
    """Turns errors into replies, in the contract's shape. An API of another shape has a subclass.

    :param further: the further fields of an error's reply, by its class: what they are called is wire, and no business
        of the domain's.
    :cvar table: the status and the header fields by class; the first match wins.
    """

    table = _TABLE

    def __init__(self, further: Mapping[type[errors.SandboxError], Callable[[Any], Mapping[str, Any]]]) -> None:
        self._further = further

    def extended(self, further: Mapping[type[errors.SandboxError], Callable[[Any], Mapping[str, Any]]]) -> ErrorEncoder:
        """One that also knows the further fields of other classes."""
        return type(self)({**self._further, **further})

    def answer_to(self, kind: type[errors.SandboxError]) -> tuple[int, Fields]:
        """The status and the header fields that errors of a class are answered with."""
        return next((status, headers) for known, status, headers in self.table if issubclass(kind, known))

    def refuse(self, status: int, code: str, message: str, headers: Fields = (), **further: Any) -> Reply:
        """The reply that says an error; for those that are HTTP's own, and no class of the domain's."""
        payload = {"statusCode": status, "error": HTTPStatus(status).phrase, "code": code, "message": message}
        return Reply(status, {**payload, **further}, headers, code)

    def encode(self, error: BaseException | Failure) -> Reply:
        """The reply that an error becomes.

        An error that the table does not know is unforeseen: it is logged with its traceback under an incident id, and
        the reply carries that id and nothing of the inside.
        """
        failure = error if isinstance(error, Failure) else Failure(error)
        value = failure.value
        if isinstance(value, errors.SandboxError):
            status, headers = self.answer_to(type(value))
            return self.refuse(status, value.reason_code, value.message, headers, **self._fields(value))
        incident = secrets.token_hex(8)
        _log.failure("Unforeseen error, incident {incident}", failure=failure, incident=incident)
        return self.refuse(500, "INTERNAL", "Internal server error", incident=incident)

    def _fields(self, error: errors.SandboxError) -> Mapping[str, Any]:
        return next((fields(error) for kind, fields in self._further.items() if isinstance(error, kind)), {})


def _registered_port(error: errors.PreviewNotRegistered) -> Mapping[str, Any]:
    return {} if error.port is None else {"port": error.port}


#: What previews, and all that is no API, say errors with.
CONTRACT = ErrorEncoder({errors.PreviewNotRegistered: _registered_port})
error_reply = CONTRACT.refuse
reply_to = CONTRACT.encode
