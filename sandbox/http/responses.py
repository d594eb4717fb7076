"""Serialization of complete responses, and errors shared by modules of the server."""

from __future__ import annotations

import time
from http import HTTPStatus

from twisted.web.http import datetimeToString
from twisted.web.http_headers import Headers

from sandbox.protocols.http1.grammar import Fields, Malformed
from sandbox.protocols.http1.headers import REQUEST_ID

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
JSON = b"application/json; charset=utf-8"
#: Status logged when the client disconnected before the response began; nginx's number.
CLIENT_LEFT = 499


def bytes_after_upgrade() -> Malformed:
    """The error for bytes sent before the 101, which may smuggle a request behind the upgrade."""
    return Malformed("Bytes came before the upgrade was answered")


def reply_bytes(status: int, fields: Fields, body: bytes, *, head_only: bool = False, close: bool = False) -> bytes:
    """Serialize a complete response; adds Content-Length and Date, and ``Connection: close`` when ``close``."""
    framing = b"" if status == 204 else b"content-length: %d\r\n" % len(body)
    head = reply_head(status, fields, framing, close=close)
    return head if head_only else head + body


def reply_head(status: int, fields: Fields, framing: bytes, *, close: bool) -> bytes:
    """Serialize a response's head.

    :param framing: the header line that delimits the body, or empty.
    """
    lines = [b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, HTTPStatus(status).phrase.encode("ascii"), http_date())]
    lines += [b"%b: %b\r\n" % field for field in fields]
    lines += [framing, b"connection: close\r\n\r\n" if close else b"\r\n"]
    return b"".join(lines)


def head_bytes(status: int, reason: bytes, headers: Headers, request_id: bytes, *, close: bool) -> bytes:
    """Serialize the head of a response whose body is written by ``twisted.web``."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason)]
    if not headers.hasHeader(b"date"):
        lines.append(b"date: %b\r\n" % http_date())
    lines += [b"%b: %b\r\n" % (name, value) for name, values in headers.getAllRawHeaders() for value in values]
    lines.append(b"%b: %b\r\n" % (REQUEST_ID, request_id))
    lines.append(b"connection: close\r\n\r\n" if close else b"\r\n")
    return b"".join(lines)


_date: tuple[int, bytes] = (0, b"")


def http_date() -> bytes:
    """The current time in the format of the Date field (RFC 9110 section 6.6.1)."""
    global _date  # noqa: PLW0603 - cache of one formatted second
    now = int(time.time())
    if _date[0] != now:
        _date = now, datetimeToString(now)
    return _date[1]
