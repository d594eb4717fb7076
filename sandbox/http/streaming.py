"""Writing of long response bodies: one piece per turn of the reactor, with back-pressure from the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextvars import copy_context

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_log = Logger()

#: The pieces of a body; with an async generator, each may have to be awaited.
Pieces = Iterator[bytes] | AsyncGenerator[bytes, None]

#: Maximum bytes of a body that is written as a whole.
LONG = 64 * 1024


def take_beginning(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """Return the start of a body, and whether that is all of it.

    >>> take_beginning(iter([b"ab", b"c"]))
    (b'abc', True)
    """
    found, size = [], 0
    for piece in pieces:
        found.append(piece)
        size += len(piece)
        if size > LONG:
            return b"".join(found), False
    return b"".join(found), True


def close_pieces(pieces: Pieces) -> None:
    """Close the generator of a body; an async generator runs its ``finally`` blocks."""
    if not isinstance(pieces, Iterator):
        closing = Deferred.fromCoroutine(_aclose(pieces))
        closing.addErrback(lambda failure: _log.failure("closing the pieces of a response failed", failure))


async def _aclose(pieces: AsyncGenerator[bytes, None]) -> None:
    await pieces.aclose()


@implementer(IPushProducer)
class BodyWriter:
    """Writes a body, and stops when the connection is lost. An async generator is closed in any case; a pending wait
    for its next piece is cancelled.

    :param pieces: the body; each piece is produced only after the previous one was written.
    :param ended: called after the last piece was written.
    :param failed: called when producing a piece failed.
    """

    def __init__(
        self,
        pieces: Pieces,
        write: Callable[[bytes], None],
        *,
        ended: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self._pieces = pieces
        self._write = write
        self._ended = ended
        self._failed = failed
        self._task: CooperativeTask[Iterator[Deferred[None] | None]] | None = None
        # Pieces log in the context of their request.
        self._context = copy_context()
        self._next: Deferred[None] | None = None
        self._exhausted = False

    def start(self, cooperator: Cooperator) -> None:
        """Begin; the first piece leaves in a later turn of the reactor."""
        self._task = cooperator.cooperate(self._steps())
        self._task.whenDone().addCallbacks(self._written, self._broken)

    def pauseProducing(self) -> None:
        """The client reads too slowly."""
        if self._task is not None:
            self._task.pause()

    def resumeProducing(self) -> None:
        """The client has caught up."""
        if self._task is not None:
            self._task.resume()

    def stopProducing(self) -> None:
        """The client disconnected."""
        task, self._task = self._task, None
        if task is None:
            return
        task.stop()
        if self._next is None:
            close_pieces(self._pieces)
        else:
            # A running async generator cannot be closed: wait until its current step has ended.
            self._next.cancel()
            self._next.addBoth(lambda _: close_pieces(self._pieces))

    def _steps(self) -> Iterator[Deferred[None] | None]:
        if isinstance(self._pieces, Iterator):
            yield from map(self._write, filter(None, self._pieces))
            return
        while not self._exhausted:
            self._next = self._context.run(Deferred.fromCoroutine, self._step(self._pieces))
            yield self._next

    async def _step(self, pieces: AsyncGenerator[bytes, None]) -> None:
        try:
            piece = await anext(pieces)
        except StopAsyncIteration:
            self._exhausted = True
            return
        except Exception as error:
            if self._task is not None:
                raise
            # Client disconnected, and no task waits any more.
            if not isinstance(error, CancelledError):
                _log.failure("closing the pieces of a response failed")
            return
        if piece and self._task is not None:
            self._write(piece)

    def _written(self, _: object) -> None:
        self._task = None
        self._ended()

    def _broken(self, failure: Failure) -> None:
        if failure.check(TaskStopped):
            return
        self._task = None
        _log.failure("encoding of a response failed", failure)
        self._failed()
