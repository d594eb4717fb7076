"""Who takes a request's body: the interface, and the two takers that the server has itself."""

from __future__ import annotations

from io import BytesIO
from typing import Any, Protocol

from sandbox.domain.errors import AnswerMemoryExhausted
from sandbox.http.replies import Reply, error_reply, reply_to
from sandbox.http.responses import too_large
from sandbox.policy.budget import STEP, Budget, Growth
from sandbox.protocols.http1.grammar import Fields, Malformed


class Buffered(Protocol):
    """A request that is processed when its body is there; :class:`sandbox.http.request.Request` is one.

    :ivar content: the body, as a file.
    :ivar on_over: called when the request is over.
    """

    content: Any
    on_over: Any

    def process(self) -> None:
        """Find the resource and render it."""

    def respond(self, reply: Reply) -> None:
        """Answer with a whole reply."""


class BodySink(Protocol):
    """What takes a request's body.

    :ivar min_progress: bytes that each period of the upload timeout must bring.
    """

    min_progress: int

    def body_received(self, data: bytes) -> None:
        """A piece of the body, never empty."""

    def body_ended(self, trailers: Fields) -> None:
        """All of it has come."""

    def body_failed(self, error: Malformed) -> None:
        """No more of it will come: its framing is broken, or it stalled. The error says how to answer.

        Not called when the connection is lost: :attr:`Request.on_disconnect` tells that.
        """


class BufferedBody:
    """Collects a body of at most ``limit`` bytes and then processes the request.

    :param budget: what holds its bytes until the request is over, beyond a first step that is free.
    """

    # A body that trickles in, byte by byte, does not hold its connection for ever.
    min_progress = 4096

    def __init__(self, request: Buffered, limit: int, budget: Budget | None = None) -> None:
        self._request = request
        self._limit = limit
        self._size = 0
        share = None if budget is None else budget.share()
        self._growth = Growth(share, STEP)
        if share is not None:
            request.on_over = share.close
        request.content = BytesIO()

    def body_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > self._limit:
            self._request.respond(too_large(self._limit))
        elif not self._growth.fits(self._size):
            self._request.respond(reply_to(AnswerMemoryExhausted()))
        else:
            self._request.content.write(data)

    def body_ended(self, trailers: Fields) -> None:
        self._request.content.seek(0)
        self._request.process()

    def body_failed(self, error: Malformed) -> None:
        self._request.respond(error_reply(error.status, error.code, error.reason))


class Discard:
    """The sink of a body that nobody wants."""

    min_progress = 1

    def body_received(self, data: bytes) -> None:
        pass

    def body_ended(self, trailers: Fields) -> None:
        pass

    def body_failed(self, error: Malformed) -> None:
        pass
