"""The grammar of HTTP/1 message heads (RFC 9112 sections 2 to 5); what two parsers could read differently is refused.

Each rule is a regular expression over a whole head, so C code does the reading. It replaces llhttp as httptools binds
it, which is as fast on a head and as strict on most of it, but knows only a fixed list of methods, skips the body of
any request that offers an upgrade, cannot be told that a response to HEAD has no body, and cannot stop between two
pipelined messages. The tests hold this grammar to llhttp: what it accepts, llhttp reads the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

#: One header field as it came: name in its own case, value without the white space around it.
Field = tuple[bytes, bytes]
Fields = list[Field]

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
# request-target without '#': a fragment is never sent, and servers disagree on what to do with one.
_REQUEST_LINE = re.compile(rb"(" + _TOKEN + rb") ([\x21\x22\x24-\x7e]+) HTTP/1\.([01])\r\n")
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: ([\t\x20-\x7e\x80-\xff]*))?\r\n")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[ \t]*+([\t\x20-\x7e\x80-\xff]*+)")
_BROKEN_LINE = re.compile(rb"(?<!\r)\n|\r[^\n]|\x00")
#: The value of a Host field (RFC 9110 section 7.2).
HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._~%!$&'()*+,;=]+)(?::[0-9]{0,5})?")
_ABSOLUTE = re.compile(rb"https?://([^/?]*)(/[^?]*)?(\?.*)?", re.IGNORECASE)
_NAME = re.compile(_TOKEN)

# Bytes of a field section that is remembered: browsers, and programs that poll, send the same one again and again.
_MEMORABLE = 2048
# Fields of one: browsers send twenty or so.
_MEMORABLE_FIELDS = 64
#: How many of them are, here and by others who remember what follows from one: a browser has about ten.
REMEMBERED = 512
# Bytes of a status line that is remembered; few are there.
_USUAL_LINE = 64

#: Fields whose meaning the server needs; several lines of one of these are joined or refused in :func:`index`.
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
    """A message that is refused, and how.

    :ivar status: the HTTP status that says so to a client.
    :ivar code: the stable code of the error answer.
    """

    def __init__(self, reason: str, status: int = 400, code: str = "MALFORMED_REQUEST") -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.code = code


class Line(tuple[bytes, bytes]):
    """A field that was read: the pair of its name, in its own case, and its value without the white space around it.

    :ivar lower: the name in lower case.
    :ivar data: the line that it makes in another head.
    """

    lower: bytes
    data: bytes


class RequestHead(NamedTuple):
    """A request's line and fields.

    :ivar target: origin-form or ``*``, byte for byte as it came (of absolute-form, the path and query).
    :ivar minor: 0 or 1, of HTTP/1.x.
    :ivar section: the bytes that ``fields`` and ``known`` were read from, which are remembered: never change them.
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

    :ivar line: the status line in our version of HTTP.
    """

    status: int
    line: bytes
    minor: int
    fields: Sequence[Line]
    known: Mapping[bytes, bytes]


def parse_request_head(data: bytes, max_fields: int = 200) -> RequestHead:
    """Read a head that ends with its empty line.

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
    """Whether what follows from a section may be remembered: whoever sends it decides how much memory that takes.

    >>> memorable(b"Host: x\\r\\n\\r\\n"), memorable(b"A: b\\r\\n" * 100 + b"\\r\\n")
    (True, False)
    """
    return len(section) <= _MEMORABLE and section.count(b"\n") <= _MEMORABLE_FIELDS


def read_section(section: bytes) -> tuple[Sequence[Line], Mapping[bytes, bytes]]:
    """The fields of a field section that ends with its empty line, and the known ones among them.

    :raises Malformed: when it is not one.
    """
    return (_remember if memorable(section) else _read_fields)(section)


def _with_host(fields: Sequence[Line], authority: bytes) -> bytes:
    """The section of a request in absolute-form: the target's authority stands, the Host field is ignored.

    RFC 9112 section 3.2.2. HTTP/1.1 wants one all the same (section 3.2).
    """
    kept = [field.data for field in fields if field.lower != b"host"]
    return b"Host: %b\r\n%b\r\n" % (authority, b"".join(kept))


def parse_response_head(data: bytes, max_fields: int = 500) -> ResponseHead:
    """Read a response head that ends with its empty line.

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
    """Read a trailer section (RFC 9112 section 7.1.2) that ends with its empty line.

    :raises Malformed: when it is not one.
    """
    _check_number(data, max_fields)
    return list(_read_fields(data)[0])


def has_broken_line(data: bytes, searched: int = 0) -> bool:
    """Whether a head, or what has come of it, holds NUL, or a line that does not end with CR LF.

    :param searched: how many of its bytes have been found good; they are not looked at again.
    """
    return _BROKEN_LINE.search(data, max(0, searched - 1)) is not None


def check_partial_head(data: bytes, max_line: int, searched: int = 0) -> None:
    """Refuse the beginning of a head as soon as no continuation could make it a good one.

    :param searched: how many of its bytes have been found good.
    :raises Malformed: with 414 when its first line is longer than ``max_line`` bytes.
    """
    if has_broken_line(data, searched):
        raise Malformed("A line does not end with CR LF, or holds NUL")
    if data.find(b"\n", 0, searched) >= 0:
        return  # The line was read when its end came.
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
    """The refusal of a head over a limit."""
    return Malformed("The request's header fields are too large or too many", 431, "HEADERS_TOO_LARGE")


def split_list(value: bytes) -> list[bytes]:
    """The members of a comma-separated field value, lower-case, empty ones dropped (RFC 9110 section 5.6.1).

    >>> split_list(b"close, ,X-A")
    [b'close', b'x-a']
    """
    return [member for part in value.split(b",") if (member := part.strip(b" \t").lower())]


def _check_number(section: bytes, max_fields: int) -> None:
    # Before they are read: whoever sends too many gets no work done.
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
        # Lawful behind the value (RFC 9110 section 5.5), and llhttp, for one, then takes the coding for another one.
        raise Malformed("The Transfer-Encoding is not exactly chunked")
    field.data = b"%b: %b\r\n" % field
    return field


# Most lines of a response are those of the one before, whatever its Date and ETag are.
_remember_line = lru_cache(1024)(_read_line)


def _unusual_target(method: bytes, target: bytes) -> tuple[bytes, bytes | None]:
    """Asterisk-form and absolute-form (RFC 9112 section 3.2): the target to use, and the authority it names."""
    if target == b"*" and method == b"OPTIONS":
        return target, None
    absolute = _ABSOLUTE.fullmatch(target)
    # CONNECT has no path: who takes one for a request with a body takes what the tunnel carries for the next request.
    if absolute is None or method == b"CONNECT":
        raise Malformed("The request target is neither a path nor an absolute URI")
    authority, path, query = absolute.groups()
    return (path or b"/") + (query or b""), authority
