"""File operations on an agent's link: collects the replies to READ, LIST, STAT and WRITE."""

from __future__ import annotations

import errno
from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from twisted.python.failure import Failure

from sandbox.domain.errors import AnswerMemoryExhausted
from sandbox.domain.model import Entry, FileContent
from sandbox.policy.budget import Growth, Share
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_errors import file_error
from sandbox.runtimes.docker.agent_link import Exchange
from sandbox.runtimes.docker.protocol import ProtocolError

T = TypeVar("T")


class FileExchange(Exchange[T]):
    """One file operation; a refusal becomes a domain error.

    :cvar last: the type of the last reply of a successful operation.
    """

    last = protocol.DONE

    def received(self, kind: int, payload: bytes) -> bool:
        """As :meth:`Exchange.received`."""
        if kind == protocol.FAILURE:
            self.refused(protocol.parse_refusal(payload))
        elif not self.discarded and not self.took(kind, payload):
            raise ProtocolError("no reply to this request")
        return kind in (protocol.FAILURE, self.last)

    def refused(self, refusal: protocol.Refusal) -> None:
        """Fail the operation with the refusal's domain error."""
        self.finish(Failure(file_error(refusal)))

    def fits(self, growth: Growth, size: int) -> bool:
        """Charge a reply to the memory share; an exhausted share fails the operation.

        :returns: whether the reply may be kept.
        """
        if not self.over and growth.fits(size):
            return True
        self.finish(Failure(AnswerMemoryExhausted()))
        return False

    @abstractmethod
    def took(self, kind: int, payload: bytes) -> bool:
        """Process a reply.

        :returns: whether its type belongs to this operation.
        """


class Stat(FileExchange[Entry | None]):
    """STAT: ``None`` when the path does not exist."""

    last = protocol.METADATA

    def took(self, kind: int, payload: bytes) -> bool:
        """As :meth:`FileExchange.took`."""
        if kind == protocol.METADATA:
            self.finish(protocol.parse_metadata(payload))
        return kind == protocol.METADATA

    def refused(self, refusal: protocol.Refusal) -> None:
        """As :meth:`FileExchange.refused`."""
        if refusal.error == errno.ENOENT:
            self.finish(None)
        else:
            super().refused(refusal)


class Read(FileExchange[FileContent]):
    """READ of at most ``limit`` bytes, charged to the share."""

    def __init__(self, limit: int, share: Share | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._growth = Growth(share)
        self._metadata: Entry | None = None
        self._content = bytearray()
        self._size = 0

    def discard(self) -> None:
        """As :meth:`Exchange.discard`."""
        super().discard()
        self._content.clear()

    def took(self, kind: int, payload: bytes) -> bool:
        """As :meth:`FileExchange.took`."""
        if kind == protocol.METADATA and self._metadata is None:
            self._metadata = protocol.parse_metadata(payload)
        elif kind == protocol.CONTENT and self._size + len(payload) <= self._limit:
            self._size += len(payload)
            if self.fits(self._growth, self._size):
                self._content += payload
            else:
                self._content = bytearray()
        elif kind == protocol.DONE and self._metadata is not None:
            content = bytes(self._content)
            self.finish(FileContent(content=content, size=len(content), modified_ns=self._metadata.modified_ns))
        else:
            return False
        return True


class Listing(FileExchange[Sequence[Entry]]):
    """LIST of at most ``limit`` entries, charged to the share."""

    def __init__(self, limit: int, share: Share | None = None) -> None:
        super().__init__()
        self._limit = limit
        self._growth = Growth(share)
        self._count = self._weight = 0
        self._entries: list[Entry] = []

    def discard(self) -> None:
        """As :meth:`Exchange.discard`."""
        super().discard()
        self._entries.clear()

    def took(self, kind: int, payload: bytes) -> bool:
        """As :meth:`FileExchange.took`."""
        if kind == protocol.ENTRIES:
            found = list(protocol.parse_entries(payload))
            self._count += len(found)
            self._weight += sum(entry.weight for entry in found)
            if self.fits(self._growth, self._weight):
                self._entries += found
            else:
                self._entries = []
            return self._count <= self._limit
        if kind == protocol.DONE:
            self.finish(self._entries)
        return kind == protocol.DONE


class Write(FileExchange[int]):
    """WRITE of ``size`` bytes."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size

    def took(self, kind: int, payload: bytes) -> bool:
        """As :meth:`FileExchange.took`."""
        if kind == protocol.DONE:
            self.finish(self._size)
        return kind == protocol.DONE
