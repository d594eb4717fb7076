"""Consumers of request bodies: the interface, and the server's own implementations."""

from __future__ import annotations

from collections import deque
from io import BytesIO
from typing import Any, Protocol

from twisted.internet.defer import Deferred

from sandbox.domain.errors import AnswerMemoryExhausted, BodyTooLarge
from sandbox.http.replies import ErrorEncoder, Reply
from sandbox.http.responses import CONTINUE
from sandbox.policy.budget import STEP, Budget, Growth
from sandbox.protocols.http1.grammar import Fields, Malformed


class Buffered(Protocol):
    """A request that is processed once its body is complete, such as :class:`sandbox.http.request.Request`.

    :ivar content: the body, as a file.
    :ivar on_over: called when the request is over.
    :ivar errors: encodes the errors of this request.
    """

    content: Any
    on_over: Any
    errors: ErrorEncoder

    def process_in_turn(self) -> None:
        """Find the resource and render it, when there is time."""

    def respond(self, reply: Reply) -> None:
        """Respond with a complete reply."""


class BodySink(Protocol):
    """Consumer of a request's body.

    :ivar min_progress: minimum bytes to arrive in each period of the upload timeout.
    """

    min_progress: int

    def body_received(self, data: bytes) -> None:
        """Consume a non-empty piece of the body."""

    def body_ended(self, trailers: Fields) -> None:
        """The body is complete."""

    def body_failed(self, error: Malformed) -> None:
        """The body failed: its framing is invalid, or it stalled. The error determines the response.

        Not called when the connection is lost: see :attr:`Request.on_disconnect`.
        """


class BufferedBody:
    """Collects a body of at most ``limit`` bytes and then processes the request.

    :param budget: memory budget charged until the request has ended, except for a first step that is free.
    """

    # A body that trickles in byte by byte must not hold its connection forever.
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
            self._request.respond(self._request.errors.encode(BodyTooLarge(self._limit)))
        elif not self._growth.fits(self._size):
            self._request.respond(self._request.errors.encode(AnswerMemoryExhausted()))
        else:
            self._request.content.write(data)

    def body_ended(self, trailers: Fields) -> None:
        self._request.content.seek(0)
        self._request.process_in_turn()

    def body_failed(self, error: Malformed) -> None:
        self._request.respond(self._request.errors.refuse(error.status, error.code, error.reason))


class Streamed(Protocol):
    """A request whose body is not read yet, such as :class:`sandbox.http.request.Request`."""

    @property
    def expects_continue(self) -> bool: ...

    def send_interim(self, head: bytes) -> None:
        """Write a complete 1xx response."""

    def stream_body(self, sink: BodySink) -> None:
        """Attach ``sink`` as the consumer of the body."""

    def pause_body(self) -> None:
        """Pause reading the body."""

    def resume_body(self) -> None:
        """Resume reading the body."""


class StreamedBody:
    """A body as an async iterator of its pieces: reading pauses until the iterator has consumed the buffered pieces.
    The first iteration sends ``100 Continue`` to a client that expects it.

    Iterating fails with :class:`Malformed` when the body's framing is broken or it stalls, and with
    :class:`BodyTooLarge`.

    :param limit: maximum bytes; ``None`` for no limit.
    """

    min_progress = 1

    def __init__(self, request: Streamed, limit: int | None = None) -> None:
        self._request = request
        self._limit = limit
        self._size = 0
        self._begun = False
        self._pieces: deque[bytes] = deque()
        self._end: Exception | None = None
        self._waiting: Deferred[None] | None = None

    def __aiter__(self) -> StreamedBody:
        return self

    async def __anext__(self) -> bytes:
        if not self._begun:
            self._begin()
        while not self._pieces:
            if self._end is not None:
                raise self._end
            self._waiting = Deferred()
            self._request.resume_body()
            await self._waiting
        return self._pieces.popleft()

    def _begin(self) -> None:
        self._begun = True
        if self._request.expects_continue:
            self._request.send_interim(CONTINUE)
        self._request.stream_body(self)

    def body_received(self, data: bytes) -> None:
        self._size += len(data)
        if self._limit is not None and self._size > self._limit:
            self._finish(BodyTooLarge(self._limit))
        elif self._end is None:
            self._pieces.append(data)
            self._request.pause_body()
            self._wake()

    def body_ended(self, trailers: Fields) -> None:
        self._finish(StopAsyncIteration())

    def body_failed(self, error: Malformed) -> None:
        self._finish(error)

    def _finish(self, end: Exception) -> None:
        self._end = self._end or end
        self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.called:
            waiting.callback(None)


class Discard:
    """Discards a body."""

    min_progress = 1

    def body_received(self, data: bytes) -> None:
        pass

    def body_ended(self, trailers: Fields) -> None:
        pass

    def body_failed(self, error: Malformed) -> None:
        pass
