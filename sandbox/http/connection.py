"""The writing side of a client's connection: bytes out, at once where that can be, and slow readers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Protocol

from sandbox.net import write_coalescing
from sandbox.net.deadlines import NEVER

if TYPE_CHECKING:
    from sandbox.http.site import Site


class Connection(Protocol):
    """What responses are written to; :class:`sandbox.http.receiving.Receiver` adds the reading of bodies.

    :ivar deadline: see :class:`sandbox.net.deadlines.Deadlines`.
    """

    # Class attributes stand for what an idle connection has not got, to keep it small.
    deadline = NEVER
    transport: Any
    _producer: Any = None
    _cork: list[bytes] | None = None
    _peer: str | None = None
    # What the peer had not taken when somebody looked last: less of it now is a sign of life.
    _unsent = 0
    # Of the response under way.
    bytes_out = 0

    def __init__(self, site: Site) -> None:
        self.site = self.factory = site
        self._limits = site.limits
        self._seconds = site.deadlines.seconds

    def _reading_deadline(self) -> float:
        """The deadline of what is being read, while nothing is wrong with the writing."""
        return NEVER

    def write(self, data: bytes) -> None:
        """Write response bytes."""
        self.bytes_out += len(data)
        if self._cork is not None:
            self._cork.append(data)
        else:
            write_coalescing.write(self.transport, data)

    def writeSequence(self, pieces: Sequence[bytes]) -> None:
        """Write response bytes."""
        self.write(b"".join(pieces))

    @contextmanager
    def corked(self) -> Iterator[None]:
        """Collect what is written meanwhile and send it as one."""
        if self._cork is not None:
            yield
            return
        self._cork = []
        try:
            yield
        finally:
            self._uncork()

    def _uncork(self) -> None:
        pieces, self._cork = self._cork, None
        if pieces:
            write_coalescing.write(self.transport, b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Have ``producer`` paused while the client reads too slowly."""
        self._producer = producer
        self.transport.registerProducer(self if streaming else producer, streaming)

    def unregisterProducer(self) -> None:
        """The response's producer is done."""
        self._producer = None
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """The client does not keep up: whoever never reads again must not hold the response for ever."""
        self._unsent = write_coalescing.unacknowledged(self.transport)
        self.deadline = self._seconds() + self._limits.idle_timeout
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has read all there was."""
        self.deadline = self._reading_deadline()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._producer.stopProducing()

    def abortConnection(self) -> None:
        """Close at once."""
        self.transport.abortConnection()

    @property
    def peer(self) -> str | None:
        """The address of the other end; ``None`` on a UNIX socket."""
        if self._peer is None:
            self._peer = getattr(self.transport.getPeer(), "host", "")
        return self._peer or None

    def isSecure(self) -> bool:
        """Always false: TLS ends before us."""
        return False

    def getPeer(self) -> IAddress:
        """The client's address."""
        return self.transport.getPeer()  # type: ignore[no-any-return]

    def getHost(self) -> IAddress:
        """Our address."""
        return self.transport.getHost()  # type: ignore[no-any-return]
