"""Every request's name: by it the lines of a log, here and at whoever is before or behind us, are found."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator

from sandbox.http.interfaces import Peer
from sandbox.protocols.http1.headers import TrustedProxies

_FIELD = re.compile(rb"\r\nX-Request-Id:([^\r\n]*)(?=\r\n)", re.IGNORECASE)
# A token (RFC 9110 section 5.6.2): it goes into header fields and log lines as it is.
_WELL_FORMED = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")


# Digits of a name, and names that are made at once: a call of the kernel for each would cost a hundredth of a request.
_DIGITS, _AT_ONCE = 20, 200


def _names() -> Iterator[bytes]:
    while True:
        digits = secrets.token_hex(_DIGITS * _AT_ONCE // 2).encode("ascii")
        for at in range(0, len(digits), _DIGITS):
            yield digits[at : at + _DIGITS]


class RequestIds:
    """Names requests: as a trusted proxy does, else by digits at random, which tell nobody how many requests there are.

    A client's own word is not taken: it could borrow another request's name.

    :param trusted: the peers whose names are taken.
    """

    def __init__(self, trusted: TrustedProxies) -> None:
        self._trusts = trusted.trusts if trusted else None
        self._names = _names()

    def new(self) -> bytes:
        """A name that no request had before."""
        return next(self._names)

    def take(self, connection: Peer, head: bytes) -> tuple[bytes, bytes]:
        """A request's name, and its head, from which a name that is taken is cut.

        The rest is then like that of the client's other requests, and what was read from it is remembered
        (:func:`sandbox.protocols.http1.grammar.read_section`).
        """
        if self._trusts is not None and self._trusts(connection.peer):
            found = [*_FIELD.finditer(head)]
            if len(found) == 1:
                name = found[0][1].strip(b" \t")
                if _WELL_FORMED.fullmatch(name):
                    return name, head[: found[0].start()] + head[found[0].end() :]
        return next(self._names), head
