"""Who makes a request: found by its head, before a route is looked up and a byte of body is read."""

from __future__ import annotations

import hmac
from typing import Protocol

import attrs

from sandbox.domain.errors import ServiceKeyRejected
from sandbox.domain.principals import ROOT, Principal
from sandbox.http.admission import Admission, Admit
from sandbox.http.request import Request

KEY_FIELD = b"x-internal-service-key"


class Authentication(Protocol):
    """Tells who makes a request."""

    def authenticate(self, request: Request) -> Principal:
        """The principal that a request's credentials stand for.

        :raises SandboxError: when it has none, or they are not good.
        """


@attrs.define
class ServiceKey:
    """The one key of the installation; who has it is ``ROOT`` (contract section 1).

    :ivar key: the key's bytes.
    :ivar field: the lower-case name of the header field that it comes in.
    """

    key: bytes = attrs.field(repr=False)
    field: bytes = KEY_FIELD

    def use_key(self, key: bytes) -> None:
        """Take another key for the requests from now on."""
        self.key = key

    def authenticate(self, request: Request) -> Principal:
        """See :class:`Authentication`."""
        if not self.knows(request):
            raise ServiceKeyRejected
        return ROOT

    def knows(self, request: Request) -> bool:
        """Whether a request carries the key; looked for in constant time."""
        given = [field[1] for field in request.headers if field.lower == self.field]
        # Two keys are no key: which one counts would be a guess.
        return hmac.compare_digest(given[0] if len(given) == 1 else b"", self.key)


def authenticated(authentication: Authentication, admit: Admit) -> Admit:
    """What ``admit`` says, for requests that have a principal; :func:`sandbox.http.admission.start` refuses others."""

    def guarded(request: Request) -> Admission:
        request.principal = authentication.authenticate(request)
        return admit(request)

    return guarded
