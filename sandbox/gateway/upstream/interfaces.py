"""What a connection to an application needs of its pool, and of those who wait for a response."""

from __future__ import annotations

from typing import Protocol, TypeVar

from sandbox.domain.errors import SandboxError
from sandbox.net.fairness import RunQueue
from sandbox.protocols.http1.framing import Framing
from sandbox.protocols.http1.grammar import Fields, ResponseHead

C_contra = TypeVar("C_contra", contravariant=True)


class Exchange(Protocol):
    """Who waits for a response.

    :ivar method: of the request; it decides whether the response has a body.
    :ivar upgrading: whether the request offered an upgrade, so that a 101 is an answer to it.
    :ivar sent_all: whether the whole request has been written.
    """

    method: bytes
    upgrading: bool
    sent_all: bool

    def interim(self, head: ResponseHead) -> None:
        """A 1xx response other than 101."""

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        """A 101 to an upgrade that was offered; ``rest`` came behind it. :meth:`Upstream.upgrade` has to follow."""

    def responded(self, head: ResponseHead, framing: Framing) -> None:
        """The final response's head. :meth:`received` follows at once with what came of the body."""

    def received(self, pieces: list[bytes], trailers: Fields | None) -> None:
        """Pieces of the body, maybe none. With ``trailers`` it is complete, and the connection somebody else's."""

    def broken(self, error: SandboxError) -> None:
        """The connection or its bytes broke before the response was complete; it is closed."""


class PoolCallbacks(Protocol[C_contra]):
    """What a connection needs of its pool; :class:`sandbox.gateway.upstream.pool.Pool` is one."""

    @property
    def run_queue(self) -> RunQueue:
        """Where a connection goes on with what it has left."""

    def response_deadline(self) -> float:
        """When an application that is asked now must have begun to answer."""

    def connected(self, upstream: C_contra) -> None:
        """The connection is there."""

    def release(self, upstream: C_contra) -> None:
        """The request is over and the connection can carry another one."""

    def forget(self, upstream: C_contra) -> None:
        """It is being closed, and carries nothing more."""

    def lost(self, upstream: C_contra) -> None:
        """It is closed."""
