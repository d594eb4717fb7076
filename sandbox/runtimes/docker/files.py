"""Files: what the agent's replies to READ, LIST, STAT and WRITE add up to."""

from __future__ import annotations

import errno
from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar

from twisted.python.failure import Failure

from sandbox.domain.model import Entry, FileContent
from sandbox.runtimes.docker import protocol
from sandbox.runtimes.docker.agent_errors import file_error
from sandbox.runtimes.docker.agent_link import Exchange
from sandbox.runtimes.docker.protocol import ProtocolError

T = TypeVar("T")


class FileExchange(Exchange[T]):
    """One file operation; a refusal becomes the domain's error.

    :cvar last: the type of the last reply when all goes well.
    """

    last = protocol.DONE

    def received(self, kind: int, payload: bytes) -> bool:
        """As :meth:`Exchange.received`."""
        if kind == protocol.FAILURE:
            self.refused(protocol.parse_refusal(payload))
        elif not self.took(kind, payload):
            raise ProtocolError("no reply to this request")
        return kind in (protocol.FAILURE, self.last)

    def refused(self, refusal: protocol.Refusal) -> None:
        """The agent refuses."""
        self.finish(Failure(file_error(refusal)))

    @abstractmethod
    def took(self, kind: int, payload: bytes) -> bool:
        """Take a reply in; whether it has a place here."""


class Stat(FileExchange[Entry | None]):
    """STAT: ``None`` when nothing is there."""

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
    """READ, of at most ``limit`` bytes."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._metadata: Entry | None = None
        self._content = bytearray()

    def took(self, kind: int, payload: bytes) -> bool:
        """As :meth:`FileExchange.took`."""
        if kind == protocol.METADATA and self._metadata is None:
            self._metadata = protocol.parse_metadata(payload)
        elif kind == protocol.CONTENT and len(self._content) + len(payload) <= self._limit:
            self._content += payload
        elif kind == protocol.DONE and self._metadata is not None:
            content = bytes(self._content)
            self.finish(FileContent(content=content, size=len(content), modified_ns=self._metadata.modified_ns))
        else:
            return False
        return True


class Listing(FileExchange[Sequence[Entry]]):
    """LIST, of at most ``limit`` entries."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._entries: list[Entry] = []

    def took(self, kind: int, payload: bytes) -> bool:
        """As :meth:`FileExchange.took`."""
        if kind == protocol.ENTRIES:
            self._entries.extend(protocol.parse_entries(payload))
            return len(self._entries) <= self._limit
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
