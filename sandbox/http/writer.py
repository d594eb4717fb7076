"""Writing side of a client's connection: the channel interface of ``twisted.web``, independent of the state."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, ISSLTransport
from twisted.internet.protocol import Protocol
from twisted.web.http_headers import Headers

from sandbox.http.responses import head_bytes
from sandbox.http.timer import Timer
from sandbox.net import write_coalescing


class Writer(Protocol):
    """Writes bytes, immediately where possible.

    :ivar secure: whether the connection is TLS.
    :ivar timer: starts a timeout while the client reads too slowly.
    :ivar bytes_out: bytes written of the current response.
    :ivar request_id: the id of the request that it responds to.
    """

    # Class attributes are the defaults of an idle connection, to keep its instance small.
    transport: Any
    timer: Timer
    secure = False
    bytes_out = 0
    request_id = b""
    _producer: Any = None
    _cork: list[bytes] | None = None
    _peer: str | None = None

    def connectionMade(self) -> None:
        self.secure = ISSLTransport.providedBy(self.transport)
        if isinstance(self.transport.getHost(), IPv4Address | IPv6Address):
            # Heads and bodies are written whole; waiting for an ACK (Nagle) would only delay them.
            self.transport.setTcpNoDelay(True)

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

    def writeHeaders(self, version: bytes, code: int | bytes, reason: bytes, headers: Headers) -> None:
        """Write a response head; called by ``twisted.web``."""
        self.write(head_bytes(int(code), reason, headers, self.request_id, close=not self.persistent()))

    def persistent(self) -> bool:
        """Whether another request may follow."""
        raise NotImplementedError

    @contextmanager
    def corked(self) -> Iterator[None]:
        """Coalesce the writes inside the block into one."""
        if self._cork is not None:
            yield
            return
        self._cork = []
        try:
            yield
        finally:
            self.uncork()

    def uncork(self) -> None:
        """Send the coalesced writes."""
        pieces, self._cork = self._cork, None
        if pieces:
            write_coalescing.write(self.transport, b"".join(pieces))

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Pause ``producer`` while the client reads too slowly."""
        self._producer = producer
        self.transport.registerProducer(self if streaming else producer, streaming)

    def unregisterProducer(self) -> None:
        """The response's producer has finished."""
        self._producer = None
        self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        """The client reads too slowly."""
        self.timer.await_reading()
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:
        """The client has caught up."""
        self.timer.renew()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:
        """The connection is lost."""
        self._producer.stopProducing()

    def abortConnection(self) -> None:
        """Close at once."""
        self.transport.abortConnection()

    @property
    def peer(self) -> str | None:
        """Address of the client; ``None`` on a UNIX socket."""
        if self._peer is None:
            self._peer = getattr(self.transport.getPeer(), "host", "")
        return self._peer or None

    def isSecure(self) -> bool:
        """Whether the connection is TLS."""
        return self.secure

    def getPeer(self) -> IAddress:
        """The client's address."""
        return self.transport.getPeer()  # type: ignore[no-any-return]

    def getHost(self) -> IAddress:
        """The server's address."""
        return self.transport.getHost()  # type: ignore[no-any-return]
