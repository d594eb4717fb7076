"""The door of everything internal: the service key, before the route is looked up and a byte of body is read."""

from __future__ import annotations

import hmac
from urllib.parse import unquote_to_bytes

import attrs

from sandbox.domain.errors import InvalidRequest, ServiceKeyRejected
from sandbox.domain.principals import ROOT
from sandbox.http.admission import Admission, Admit, Buffer, Refuse
from sandbox.http.replies import reply_to
from sandbox.http.request import Request
from sandbox.policy.budget import Budget

KEY_FIELD = b"x-internal-service-key"


@attrs.define
class Guard:
    """Admits requests that carry the service key (contract section 1).

    :ivar key: the key's bytes.
    :ivar body_limit: bytes of the largest body; 413 beyond.
    :ivar memory: what bodies and answers are held in.
    """

    key: bytes = attrs.field(repr=False)
    body_limit: int
    memory: Budget

    def use_key(self, key: bytes) -> None:
        """Take another key for the requests from now on."""
        self.key = key

    def admit(self, request: Request) -> Admission:
        """Admit a request of the API, its body to be buffered."""
        return self.before(self._buffer)(request)

    def before(self, admit: Admit) -> Admit:
        """What ``admit`` says, for those who have the key."""

        def guarded(request: Request) -> Admission:
            if not self.knows(request):
                return Refuse(reply_to(ServiceKeyRejected()))
            request.principal = ROOT
            return admit(request)

        return guarded

    def knows(self, request: Request) -> bool:
        """Whether a request carries the key; looked for in constant time."""
        given = [field[1] for field in request.headers if field.lower == KEY_FIELD]
        # Two keys are no key: which one counts would be a guess.
        return hmac.compare_digest(given[0] if len(given) == 1 else b"", self.key)

    def _buffer(self, request: Request) -> Admission:
        try:
            unquote_to_bytes(request.path).decode("utf-8")
        except UnicodeDecodeError:
            return Refuse(reply_to(InvalidRequest("The path must be percent-encoded UTF-8")))
        return Buffer(self.body_limit, self.memory)
