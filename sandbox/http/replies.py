"""Errors to answers: the one table that knows both the domain's errors and HTTP (contract section 1)."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
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

#: Looked up by class, first match wins: narrower classes stand before wider ones.
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
    """A complete answer.

    :ivar headers: fields beside Content-Type and Content-Length.
    :ivar payload: what becomes its JSON body, see :mod:`sandbox.http.encoding`; ``None`` for an answer without one.
    """

    status: int
    payload: dict[str, Any] | None
    headers: Fields = ()

    def pieces(self) -> Iterator[bytes]:
        """The payload as UTF-8 JSON, in pieces, each made when it is asked for."""
        return iter(()) if self.payload is None else encode(self.payload)

    def body(self) -> bytes:
        """The payload as UTF-8 JSON."""
        return b"".join(self.pieces())


def error_reply(status: int, code: str, message: str, headers: Fields = (), **details: Any) -> Reply:
    """An answer in the contract's error shape."""
    payload = {"statusCode": status, "error": HTTPStatus(status).phrase, "code": code, "message": message}
    return Reply(status, {**payload, **details}, headers)


def answer_to(kind: type[errors.SandboxError]) -> tuple[int, Fields]:
    """The status and the header fields that errors of a class are answered with."""
    return next((status, headers) for known, status, headers in _TABLE if issubclass(kind, known))


def reply_to(error: BaseException | Failure) -> Reply:
    """The answer that an error becomes.

    An error that the table does not know is unforeseen: it is logged with its traceback under an incident id, and the
    answer carries that id and nothing of the inside.
    """
    failure = error if isinstance(error, Failure) else Failure(error)
    value = failure.value
    if isinstance(value, errors.SandboxError):
        status, headers = answer_to(type(value))
        return error_reply(status, value.reason_code, value.message, headers, **value.details)
    incident = secrets.token_hex(8)
    _log.failure("Unforeseen error, incident {incident}", failure=failure, incident=incident)
    return error_reply(500, "INTERNAL", "Internal server error", incident=incident)
