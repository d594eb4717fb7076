"""Admission: a site's decision on a request after its head was read, and before any of its body is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import attrs
from twisted.python.failure import Failure

from sandbox.domain.errors import BodyTooLarge
from sandbox.http.bodies import BufferedBody
from sandbox.http.replies import Reply
from sandbox.http.responses import CONTINUE
from sandbox.policy.budget import Budget

if TYPE_CHECKING:
    from sandbox.http.request import Request


@attrs.frozen
class Refuse:
    """Respond immediately without reading the body; a request with a body closes its connection."""

    reply: Reply


@attrs.frozen
class Stream:
    """Render the resource now; it streams the body (:meth:`Request.stream_body`) or leaves it unread."""


@attrs.frozen
class Buffer:
    """Read the whole body into memory, then render.

    :ivar limit: maximum bytes; a longer body is rejected with 413, by its Content-Length before any of it is read.
    :ivar budget: memory budget charged for the body; rejected with 503 when the budget is exhausted.
    """

    limit: int
    budget: Budget | None = None


Admission = Refuse | Stream | Buffer
Admit = Callable[["Request"], Admission]

STREAM = Stream()


def start(request: Request, admit: Admit) -> None:
    """Apply the decision of ``admit`` to a request whose head has been read; an error of ``admit`` refuses it."""
    try:
        admission = admit(request)
    except Exception:
        admission = Refuse(request.errors.encode(Failure()))
    if isinstance(admission, Stream):
        request.process()
    elif isinstance(admission, Refuse):
        request.respond(admission.reply)
    elif request.framing.length > admission.limit:
        request.respond(request.errors.encode(BodyTooLarge(admission.limit)))
    else:
        if request.expects_continue:
            request.send_interim(CONTINUE)
        request.stream_body(BufferedBody(request, admission.limit, admission.budget))
