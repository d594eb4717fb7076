"""A long answer's body, written piece by piece: as fast as the client reads, and a piece in a turn of the reactor."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import CooperativeTask, Cooperator, TaskStopped
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

_log = Logger()

#: Bytes up to which a body is made and written as a whole.
LONG = 64 * 1024


def take_beginning(pieces: Iterator[bytes]) -> tuple[bytes, bool]:
    """The beginning of a body, and whether that is all of it.

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


@implementer(IPushProducer)
class BodyWriter:
    """Writes a body, and stops when the connection is lost.

    :param pieces: make the body; it is their turn only when the one before has been written.
    :param ended: called when all of it has been written.
    :param failed: called when a piece could not be made.
    """

    def __init__(
        self,
        pieces: Iterator[bytes],
        write: Callable[[bytes], None],
        *,
        ended: Callable[[], None],
        failed: Callable[[], None],
    ) -> None:
        self._pieces = pieces
        self._write = write
        self._ended = ended
        self._failed = failed
        self._task: CooperativeTask[Iterator[None]] | None = None

    def start(self, cooperator: Cooperator) -> None:
        """Begin; the first piece leaves in a later turn of the reactor."""
        self._task = cooperator.cooperate(map(self._write, self._pieces))
        self._task.whenDone().addCallbacks(self._written, self._broken)

    def pauseProducing(self) -> None:
        """The client does not keep up."""
        if self._task is not None:
            self._task.pause()

    def resumeProducing(self) -> None:
        """It does again."""
        if self._task is not None:
            self._task.resume()

    def stopProducing(self) -> None:
        """It left."""
        task, self._task = self._task, None
        if task is not None:
            task.stop()

    def _written(self, _: object) -> None:
        self._task = None
        self._ended()

    def _broken(self, failure: Failure) -> None:
        if failure.check(TaskStopped):
            return
        self._task = None
        _log.failure("an answer could not be made to its end", failure)
        self._failed()
