"""Every request's name: by it the lines of a log, here and at whoever is before or behind us, are found."""

from __future__ import annotations

import re
import secrets
from itertools import count
from typing import TYPE_CHECKING

from sandbox.policy.headers import REQUEST_ID, TrustedProxies

if TYPE_CHECKING:
    from sandbox.http.request import Request

# A token (RFC 9110 section 5.6.2): it goes into header fields and log lines as it is.
_WELL_FORMED = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,128}")


class RequestIds:
    """Names requests: as a trusted proxy does, else by a number after some digits that this process alone has.

    Nothing follows from knowing an id, so that it need not be hard to guess. A client's own word is not taken: it could
    borrow another request's name.

    :param trusted: the peers whose names are taken.
    """

    def __init__(self, trusted: TrustedProxies) -> None:
        self._trusts = trusted.trusts
        self._form = b"%b-%%x" % secrets.token_hex(6).encode("ascii")
        self._numbers = count(1)

    def new(self) -> bytes:
        """A name that no request had before."""
        return self._form % next(self._numbers)

    def of(self, request: Request) -> bytes:
        """The request's name."""
        if REQUEST_ID in request.known and self._trusts(request.channel.peer):
            given = request.known[REQUEST_ID]
            if _WELL_FORMED.fullmatch(given):
                return given
        return self._form % next(self._numbers)
