"""Requests and answers as attackers write them: each part is mostly ordinary, and sometimes what parsers differ about.

The forms are those of RFC 9112 section 11, of the advisories that tests/protocols/http1/test_grammar.py names, and of
published request smuggling; random edits of bytes come on top.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

#: What must not be read as a message of its own when it stands in a body or a value.
_HIDDEN_REQUEST = b"GET /previews/s1/hidden HTTP/1.1\r\nHost: h\r\n\r\n"
_HIDDEN_ANSWER = b"HTTP/1.1 200 Hidden\r\nX-Hidden: yes\r\nContent-Length: 0\r\n\r\n"


def _forms(text: str) -> tuple[bytes, ...]:
    r"""Forms that stand between bars, in which ``\r`` and its like mean what they do in Python."""
    return tuple(form.encode().decode("unicode_escape").encode("latin-1") for form in text.split("|"))


_METHODS = _forms(r"GET|POST|PUT|HEAD|OPTIONS|DELETE|QUERY")
_STRANGE_METHODS = _forms(r"CONNECT|get|PRI|TRACE|G(T||GET\t| GET|\x00GET|\r\nGET|\nGET|HEAD ")
_TARGETS = _forms(r"/previews/s1/a|/previews/s1/b?c=d;e|/previews/s1//%2e/%zz|/previews/s1|/previews/none/a")
_STRANGE_TARGETS = (
    *_forms(r"http://h/previews/s1/a|http://other/previews/s1/a|http://u@h/previews/s1/a|*|h:80||/previews/s1/\xff"),
    *_forms(
        r"/previews/s1/a b|/previews/s1/a\tb|/previews/s1/\x00|/previews/s1/a#b|/previews/s1/a\rb|//h/previews/s1/a"
    ),
    *_forms(r"/previews/s1/a HTTP/1.1\r\nX: y|/previews/s1/../../api|https://h/previews/s1/a"),
)
_VERSIONS = _forms(r"HTTP/1.1")
_STRANGE_VERSIONS = _forms(
    r"HTTP/1.0|HTTP/1.0|HTTP/1.2|HTTP/2.0|HTTP/0.9|http/1.1|HTTP/1.1 |HTTP/1.10||HTTP/1,1|HTTP/1.1\x00"
)
_STATUSES = _forms(r"HTTP/1.1 200 OK|HTTP/1.1 404 Not Found|HTTP/1.1 204 No|HTTP/1.1 304 Same|HTTP/1.0 200 OK")
_STRANGE_STATUSES = (
    *_forms(r"HTTP/1.1 200|HTTP/1.1  200 OK|HTTP/1.1 20 OK|HTTP/1.1 2000 OK|HTTP/2 200 OK|ICY 200 OK|http/1.1 200 OK"),
    *_forms(r"HTTP/1.1 101 Switching|HTTP/1.1 103 Hint|HTTP/1.1 100 Continue|HTTP/1.1 099 OK|HTTP/1.1 999 OK||x"),
    *_forms(r"HTTP/1.1 200 O\x00K|HTTP/1.1 200 O\rK|HTTP/1.1 +20 OK| HTTP/1.1 200 OK|HTTP/1.1 205 Reset"),
    *_forms(r"HTTP/1.1 103 Hint\r\n\r\nHTTP/1.1 200 OK|HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK"),
)
_END = _forms(r"\r\n")
_STRANGE_ENDS = _forms(r"\n|\r|\r\r\n|\n\r|\r\n |\r\n\t|\x0b\r\n|\r\n\r\n|")
_HOSTS = _forms(r"Host: h|host: h:80")
_STRANGE_HOSTS = _forms(r"|Host: h\r\nHost: h|Host: a, b|Host : h|Host: h/x|Host: |Host: h\r\n folded")
_FIELDS = (
    *_forms(r"Accept: */*|Cookie: a=b|X-Id:|Connection: keep-alive|Connection: close|TE: trailers|Range: bytes=0-1"),
    *_forms(r"Expect: 100-continue|X-Forwarded-For: 1.2.3.4|Referer: http://h/previews/s1/"),
)
_STRANGE_FIELDS = (
    *_forms(r"Connection: Content-Length|Connection: Transfer-Encoding|Connection: Host|Connection: close, X-Id"),
    *_forms(r"Keep-Alive: 5|Proxy-Connection: close|Upgrade: websocket|Connection: Upgrade\r\nUpgrade: h2c"),
    *_forms(r"HTTP2-Settings: AA|Expect: 200-ok|Trailer: Content-Length|X Y: z|X\xe9: y|X\x00: y|X: a\x00b|X: a\rb"),
    *_forms(r"X: a\nb| X: y|X|: y|X : y|X: y\r\n z|X:\x7f|X: \xff|Content_Length: 5|Transfer_Encoding: chunked"),
    *_forms(r"Content-Length\x0b: 5"),
    b"X: " + _HIDDEN_REQUEST.replace(b"\r\n", b"\n"),
)
_LENGTHS = _forms(r"%d")
_STRANGE_LENGTHS = (
    *_forms(r"+%d|0%d|-%d|0x%x|%d, %d|%d,|%d 0|%d\x0b|\t%d|%d.0||1e1|%d;|99999999999999999999|\xb2|%d\r\n 0|%d_0"),
    *_forms(r"%d\r\nContent-Length: 0|0\r\nContent-Length: %d|%d\r\nContent-Length: %d"),
)
_CODING_NAMES = _forms(r"Transfer-Encoding|transfer-encoding")
_STRANGE_CODING_NAMES = _forms(
    r"Transfer-Encoding | Transfer-Encoding|Transfer-Encoding\t|Transfer-Encoding\x00|Transfer-Encodin\xc7"
)
_CODINGS = _forms(r"chunked|Chunked")
_STRANGE_CODINGS = (
    *_forms(r"identity|chunked, chunked|chunked, identity|identity, chunked|gzip, chunked|gzip|xchunked|chunked;q=1"),
    *_forms(r"\x0bchunked|chunked\x0b|\"chunked\"|chunked\r\n |\r\n chunked|CHUNKED||chunk|chunked\x00|chunked,"),
    *_forms(r"chunked\r\nTransfer-Encoding: identity|identity\r\nTransfer-Encoding: chunked"),
)
_SIZES = _forms(r"%x|%X|0%x|%x;a=b")
_STRANGE_SIZES = (
    *_forms(r"0x%x|+%x|-%x|%x | %x|%x;a=b|%x;|%x\t;a|%x;a\nb|%x;a\rb|000000000000000%x|1000000000000000%x|%x\x00"),
    *_forms(r"%x,|%xg||%x;a=\"b\r\nc\"|%x;\xff"),
)
_STRANGE_CHUNK_ENDS = _forms(r"\n|\r||\r\n\r\n|x\r\n|\r\r\n|xx")
_LASTS = _forms(r"0\r\n")
_STRANGE_LASTS = _forms(r"0\n|00\r\n|0;a\r\n|0 \r\n|-0\r\n|0\r|")
_TRAILERS = _forms(r"||T: u\r\n")
_STRANGE_TRAILERS = _forms(
    r"Content-Length: 5\r\n|Transfer-Encoding: chunked\r\n|Host: x\r\n|T : u\r\n| T: u\r\n|T\r\n|T: u\n"
)


class Hostile:
    """Writes requests, and answers.

    :param strangeness: how likely each part is a strange one.
    """

    def __init__(self, dice: random.Random, strangeness: float = 0.06) -> None:
        self._dice = dice
        self._strangeness = strangeness

    def request(self) -> bytes:
        """A request, or what looks like one."""
        line = b" ".join(
            (
                self._pick(_METHODS, _STRANGE_METHODS),
                self._pick(_TARGETS, _STRANGE_TARGETS),
                self._pick(_VERSIONS, _STRANGE_VERSIONS),
            )
        )
        return self._message(line, [self._pick(_HOSTS, _STRANGE_HOSTS)], _HIDDEN_REQUEST)

    def response(self) -> bytes:
        """What an application answers, or what looks like it."""
        return self._message(self._pick(_STATUSES, _STRANGE_STATUSES), [], _HIDDEN_ANSWER)

    def _message(self, line: bytes, fields: list[bytes], hidden: bytes) -> bytes:
        dice = self._dice
        fields += [self._pick(_FIELDS, _STRANGE_FIELDS) for _ in range(dice.choice((0, 0, 1, 2, 4)))]
        framing, body = self._body(hidden)
        fields += framing
        dice.shuffle(fields)
        end = self._pick(_END, _STRANGE_ENDS)
        head = b"".join(part + self._pick(_END, (end,)) for part in (line, *filter(None, fields)))
        message = head + self._pick(_END, _STRANGE_ENDS) + body
        return self._edited(message) if dice.random() < 0.1 else message

    def _body(self, hidden: bytes) -> tuple[list[bytes], bytes]:
        dice = self._dice
        body = dice.choice((b"", b"z", b"0\r\n\r\n", hidden, b"z" * 300, b"5\r\n" + hidden))
        kind = dice.choice(
            ("none", "none", "length", "length", "chunked", "chunked", "both" if self._strange() else "none")
        )
        fields = []
        if kind in {"length", "both"}:
            value = self._pick(_LENGTHS, _STRANGE_LENGTHS)
            length = max(0, len(body) + (dice.choice((-1, 1, 7)) if self._strange() else 0))
            fields.append(b"Content-Length: " + value.replace(b"%d", b"%d" % length).replace(b"%x", b"%x" % length))
        if kind in {"chunked", "both"}:
            name = self._pick(_CODING_NAMES, _STRANGE_CODING_NAMES)
            fields.append(name + b": " + self._pick(_CODINGS, _STRANGE_CODINGS))
            body = self._chunked(body)
        if kind == "none" and not self._strange():
            body = b""
        return fields, body

    def _chunked(self, body: bytes) -> bytes:
        place = self._dice.randrange(len(body) + 1)
        chunks = b""
        for piece in filter(None, (body[:place], body[place:])):
            length = max(0, len(piece) + (self._dice.choice((-1, 1, 5)) if self._strange() else 0))
            size = self._pick(_SIZES, _STRANGE_SIZES)
            chunks += size.replace(b"%x", b"%x" % length).replace(b"%X", b"%X" % length)
            chunks += self._pick(_END, _STRANGE_CHUNK_ENDS) + piece + self._pick(_END, _STRANGE_CHUNK_ENDS)
        last = self._pick(_LASTS, _STRANGE_LASTS)
        return chunks + last + self._pick(_TRAILERS, _STRANGE_TRAILERS) + self._pick(_END, _STRANGE_ENDS)

    def _edited(self, message: bytes) -> bytes:
        dice = self._dice
        data = bytearray(message)
        for _ in range(dice.randint(1, 3)):
            place = dice.randrange(len(data) + 1)
            kind = dice.randrange(4)
            if kind == 0:
                data[place:place] = bytes([dice.choice(b"\r\n \t\x00:;,\x0b\x7f\xff0aZ")])
            elif kind == 1:
                del data[place : place + dice.randint(1, 4)]
            elif kind == 2 and place < len(data):
                data[place] = dice.randrange(256)
            else:
                start = dice.randrange(len(data) + 1)
                data[place:place] = data[start : start + dice.randint(1, 30)]
        return bytes(data)

    def _strange(self) -> bool:
        return self._dice.random() < self._strangeness

    def _pick(self, usual: Sequence[bytes], strange: Sequence[bytes]) -> bytes:
        return self._dice.choice(strange if self._strange() else usual)
