"""Strict parser of HTTP/1 message heads (RFC 9112 sections 2 to 5): ambiguous messages are refused.

Each rule is a regular expression over a whole head, so that C code does the parsing. llhttp, by its binding httptools,
is as fast and mostly as strict. It is not used because it supports a fixed list of methods only, skips the body of a
request that offers an upgrade, has no setting for a response to HEAD without a body, and cannot stop between two
pipelined messages. Tests compare both parsers: llhttp must read every accepted message in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

#: One header field: name in its original case, value without surrounding white space.
Field = tuple[bytes, bytes]
Fields = list[Field]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# request-target without '#': clients never send a fragment, and servers disagree on its handling.
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)")
#: The value of a Host field (RFC 9110 section 7.2).
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]+)(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(/[^?]*)?(\?.*)?", re.IGNORECASE)
_NAME = re.compile(_TOKEN)
_LF = 0x0A

# Maximum bytes of a cached field section: browsers, and programs that poll, repeat the same section.
_MEMORABLE = 2048
# Maximum fields of a cached section: browsers send about twenty.
_MEMORABLE_FIELDS = 64
#: Size of caches keyed by field section, here and in other modules: a browser uses about ten sections.
REMEMBERED = 512
# Maximum bytes of a cached status line.
_USUAL_LINE = 64

#: Fields that the server interprets; repeated lines of one of these are joined or refused in :func:`_read_fields`.
_INDEXED = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"connection",
        b"expect",
        b"upgrade",
        b"te",
        b"trailer",
        b"accept",
        b"date",
        b"sec-fetch-mode",
        b"referer",
        b"origin",
    }
)
_SINGLE = frozenset({b"host", b"content-length", b"transfer-encoding"})


class Malformed(Exception):
    """A message violates the protocol or exceeds a limit.

    :ivar status: the HTTP status of the error response.
    :ivar code: the stable code in the error response.
    """

    def __init__(self, reason: str, status: int = 400, code: str = "MALFORMED_REQUEST") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code


class Line(tuple[bytes, bytes]):
    """A parsed field: the pair of its name in original case and its value without surrounding white space.

    :ivar lower: the name in lower case.
    :ivar data: the field's serialised line.
    """

    lower: bytes
    data: bytes


class RequestHead(NamedTuple):
    """A request's line and fields.

    :ivar target: origin-form or ``*``, byte for byte as received (of absolute-form, the path and query).
    :ivar minor: 0 or 1, of HTTP/1.x.
    :ivar section: the bytes that ``fields`` and ``known`` were parsed from. Both are cached: do not modify them.
    :ivar known: the fields of :data:`_INDEXED` by lower-case name; repetitions joined with commas.
    """

    method: bytes
    target: bytes
    minor: int
    section: bytes
    fields: Sequence[Line]
    known: Mapping[bytes, bytes]


class ResponseHead(NamedTuple):
    """A response's status line and fields; ``known`` as in :class:`RequestHead`.

    :ivar line: the status line, as HTTP/1.1.
    """

    status: int
    line: bytes
    minor: int
    fields: Sequence[Line]
    known: Mapping[bytes, bytes]


def parse_request_head(data: bytes, max_fields: int = 200) -> RequestHead:
    """Parse a request head, its final empty line included.

    >>> head = parse_request_head(b"GET /a;b?c HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    >>> head.method, head.target, head.fields
    (b'GET', b'/a;b?c', [(b'Host', b'x')])

    :raises Malformed: when it is not exactly one head of HTTP/1.0 or 1.1 with one valid Host (RFC 9112 section 3.2).
    """
    line = _REQUEST_LINE.match(data)
    if line is None:
        raise Malformed("The request line is malformed")
    method, target, minor = line.groups()
    section = data[line.end() :]
    _check_number(section, max_fields)
    authority = None
    if not target.startswith(b"/") or method == b"CONNECT":
        target, authority = _unusual_target(method, target)
    fields, known = read_section(section)
    if b"host" not in known and minor == b"1":
        raise Malformed("The Host field is missing")
    if authority is not None:
        section = _with_host(fields, authority)
        fields, known = read_section(section)
    return RequestHead(method, target, 1 if minor == b"1" else 0, section, fields, known)


def memorable(section: bytes) -> bool:
    """Whether results for a section may be cached: large ones may not, since clients control their size.

    >>> memorable(b"Host: x\\r\\n\\r\\n"), memorable(b"A: b\\r\\n" * 100 + b"\\r\\n")
    (True, False)
    """
    return len(section) <= _MEMORABLE and section.count(b"\n") <= _MEMORABLE_FIELDS


def read_section(section: bytes) -> tuple[Sequence[Line], Mapping[bytes, bytes]]:
    """Parse a field section, its final empty line included; returns all fields, and the indexed ones by name.

    :raises Malformed: when it is malformed.
    """
    return (_remember if memorable(section) else _read_fields)(section)


def _with_host(fields: Sequence[Line], authority: bytes) -> bytes:
    """The section of a request in absolute-form: the target's authority replaces the Host field.

    RFC 9112 section 3.2.2. HTTP/1.1 requires a Host field all the same (section 3.2).
    """
    kept = [field.data for field in fields if field.lower != b"host"]
    return b"Host: %b\r\n%b\r\n" % (authority, b"".join(kept))


def parse_response_head(data: bytes, max_fields: int = 500) -> ResponseHead:
    """Parse a response head, its final empty line included.

    :raises Malformed: when it is not exactly one head of HTTP/1.0 or 1.1.
    """
    end = data.find(b"\r\n") + 2
    status, line, minor = (_remember_status if end <= _USUAL_LINE else _read_status)(data[:end])
    section = data[end:]
    _check_number(section, max_fields)
    fields, known = _read_fields(section)
    return ResponseHead(status, line, minor, fields, known)


def _read_status(line: bytes) -> tuple[int, bytes, int]:
    match = _STATUS_LINE.fullmatch(line)
    if match is None:
        raise Malformed("The status line is malformed")
    minor, status, reason = match.groups()
    return int(status), b"HTTP/1.1 %b %b\r\n" % (status, reason or b""), 1 if minor == b"1" else 0


_remember_status = lru_cache(256)(_read_status)


def parse_trailers(data: bytes, max_fields: int = 200) -> Fields:
    """Parse a trailer section (RFC 9112 section 7.1.2), its final empty line included.

    :raises Malformed: when it is malformed.
    """
    _check_number(data, max_fields)
    return list(_read_fields(data)[0])


def has_broken_line(data: bytes | bytearray, searched: int = 0) -> bool:
    """Whether a head, or its beginning, contains NUL, or a line that does not end with CR LF.

    :param searched: number of bytes that were checked before; they are skipped.
    """
    # Counting is some twenty times quicker than a regular expression, and a head comes in as many pieces as its sender
    # likes.
    start = max(0, searched - 1)
    ends = data.count(b"\r\n", start)
    if start and data[start] == _LF:
        start += 1  # Its CR is good, and in front of what is counted.
    carriage_returns = data.count(b"\r", start) - data.endswith(b"\r", start)
    return not (data.count(b"\n", start) == ends == carriage_returns) or data.find(b"\0", start) >= 0


def check_partial_head(data: bytes | bytearray, max_line: int, searched: int = 0) -> None:
    """Refuse an incomplete head as early as possible.

    :param searched: number of bytes that were checked before.
    :raises Malformed: when no continuation makes it valid; with 414 when its first line exceeds ``max_line`` bytes.
    """
    if has_broken_line(data, searched):
        raise Malformed("A line does not end with CR LF, or holds NUL")
    if data.find(b"\n", 0, searched) >= 0:
        return  # The request line was checked before.
    end = data.find(b"\r\n", max(0, searched - 1))
    if end > max_line or (end < 0 and len(data) > max_line):
        raise uri_too_long()
    if end >= 0:
        if not _REQUEST_LINE.match(data):
            raise Malformed("The request line is malformed")
    elif not searched and data != b"\r" and not _NAME.match(data):
        raise Malformed("The request line is malformed")


def uri_too_long() -> Malformed:
    """The refusal of a request line over the limit."""
    return Malformed("The request line is too long", 414, "URI_TOO_LONG")


def head_too_large() -> Malformed:
    """The refusal of header fields over a limit."""
    return Malformed("The request's header fields are too large or too many", 431, "HEADERS_TOO_LARGE")


def split_list(value: bytes) -> list[bytes]:
    """The members of a comma-separated field value, lower-case, empty ones dropped (RFC 9110 section 5.6.1).

    >>> split_list(b"close, ,X-A")
    [b'close', b'x-a']
    """
    return [member for part in value.split(b",") if (member := part.strip(b" \t").lower())]


def _check_number(section: bytes, max_fields: int) -> None:
    # Checked before parsing, so that a flood of fields costs nothing.
    if section.count(b"\n") > max_fields + 1:
        raise head_too_large()


def _read_fields(section: bytes) -> tuple[Sequence[Line], dict[bytes, bytes]]:
    fields: list[Line] = []
    if section != b"\r\n":
        if not section.endswith(b"\r\n\r\n"):
            raise Malformed("The header fields have no end")
        lines = section[:-4].split(b"\r\n")
        fields = [*map(_remember_line if len(section) <= _MEMORABLE else _read_line, lines)]
    known: dict[bytes, bytes] = {}
    for field in fields:
        lower = field.lower
        if lower in _INDEXED:
            if lower not in known:
                known[lower] = field[1]
            elif lower in _SINGLE:
                raise Malformed(f"The {lower.decode()} field is repeated")
            else:
                known[lower] += b", " + field[1]
    if b"host" in known and not HOST.fullmatch(known[b"host"]):
        raise Malformed("The Host field is invalid")
    return fields, known


_remember = lru_cache(REMEMBERED)(_read_fields)


def _read_line(line: bytes) -> Line:
    match = _FIELD.fullmatch(line)
    if match is None:
        raise Malformed("A header field is malformed")
    name, value = match.groups()
    field = Line((name, value.rstrip(b" \t")))
    field.lower = name.lower()
    if field.lower == b"transfer-encoding" and b"\t" in value:
        # A tab after the value is valid (RFC 9110 section 5.5), but some parsers, llhttp too, then read another coding.
        raise Malformed("The Transfer-Encoding is not exactly chunked")
    field.data = b"%b: %b\r\n" % field
    return field


# Successive responses share most of their lines; Date and ETag differ.
_remember_line = lru_cache(1024)(_read_line)


def _unusual_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Parse asterisk-form and absolute-form (RFC 9112 section 3.2); returns the target, and the authority if any."""
    if target == b"*" and method == b"OPTIONS":
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    # CONNECT has no path and is refused: a parser that expects a body would read the tunnel's data as the next request.
    if absolute is None or method == b"CONNECT":
        raise Malformed("The request target is neither a path nor an absolute URI")
    authority, path, query = absolute.groups()
    return (path or b"/") + (query or b""), authority
