"""Request ids, which correlate log lines of the daemon, of proxies in front of it, and of applications behind it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from sandbox.http.interfaces import Peer
from sandbox.protocols.http1.headers import TrustedProxies

_FIELD = re.compile(rb"\r\nX-Request-Id:([^\r\n]*)(?=\r\n)", re.IGNORECASE)
# A token (RFC 9110 section 5.6.2), safe to copy into header fields and log lines.
_WELL_FORMED = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")


# Digits of an id, and ids generated per batch: a system call per id would cost a hundredth of a request.
_DIGITS, _AT_ONCE = 20, 200


def _names() -> Iterator[bytes]:
    while True:
        digits = secrets.token_hex(_DIGITS * _AT_ONCE // 2).encode("ascii")
        for at in range(0, len(digits), _DIGITS):
            yield digits[at : at + _DIGITS]


class RequestIds:
    """Assigns request ids: a trusted proxy's, otherwise random digits, which do not reveal the number of requests.

    An id from any other client is ignored: it could forge the id of another request.

    :param trusted: peers whose ids are accepted.
    """

    def __init__(self, trusted: TrustedProxies) -> None:
        self._trusts = trusted.trusts if trusted else None
        self._names = _names()

    def new(self) -> bytes:
        """Generate a unique id."""
        return next(self._names)

    def take(self, connection: Peer, head: bytes) -> tuple[bytes, bytes]:
        """Return a request's id, and its head without the field of an accepted id.

        Without it the head is equal to that of the client's other requests, so that the cache of parsed heads hits
        (:func:`sandbox.protocols.http1.grammar.read_section`).
        """
        if self._trusts is not None and self._trusts(connection.peer):
            found = [*_FIELD.finditer(head)]
            if len(found) == 1:
                name = found[0][1].strip(b" \t")
                if _WELL_FORMED.fullmatch(name):
                    return name, head[: found[0].start()] + head[found[0].end() :]
        return next(self._names), head
