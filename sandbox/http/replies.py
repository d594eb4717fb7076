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
    :ivar payload: encoded as its JSON body, see :mod:`sandbox.http.encoding`; ``None`` for a response without a body.
    :ivar error: the stable code of an error response, for the log and the metrics; otherwise ``""``.
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
    """Encodes errors as replies, in the contract's format. Subclasses implement the format of other APIs.

    :param further: makes the additional fields of an error's reply, by class: wire names are kept out of the domain.
    :cvar table: the status and the header fields by class; the first match wins.
    """

    table = _TABLE

    def __init__(self, further: Mapping[type[errors.SandboxError], Callable[[Any], Mapping[str, Any]]]) -> None:
        self._further = further

    def extended(self, further: Mapping[type[errors.SandboxError], Callable[[Any], Mapping[str, Any]]]) -> ErrorEncoder:
        """A copy that also encodes the additional fields of other classes."""
        return type(self)({**self._further, **further})

    def answer_to(self, kind: type[errors.SandboxError]) -> tuple[int, Fields]:
        """The status and the header fields of responses to errors of a class."""
        return next((status, headers) for known, status, headers in self.table if issubclass(kind, known))

    def refuse(self, status: int, code: str, message: str, headers: Fields = (), **further: Any) -> Reply:
        """The reply for an error of HTTP itself, which has no domain class."""
        payload = {"statusCode": status, "error": HTTPStatus(status).phrase, "code": code, "message": message}
        return Reply(status, {**payload, **further}, headers, code)

    def encode(self, error: BaseException | Failure) -> Reply:
        """The reply for an error.

        An error that is missing from the table is unexpected: the encoder logs its traceback with an incident id, and
        the reply contains only that id.
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


#: The encoder of previews and of all other requests outside the APIs.
CONTRACT = ErrorEncoder({errors.PreviewNotRegistered: _registered_port})
error_reply = CONTRACT.refuse
reply_to = CONTRACT.encode
