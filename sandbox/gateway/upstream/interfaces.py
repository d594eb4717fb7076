"""Interfaces that a connection to an application calls: its pool, and the consumer of a response."""

from __future__ import annotations

from typing import Protocol, TypeVar

from sandbox.domain.errors import SandboxError
from sandbox.net.fairness import RunQueue
from sandbox.protocols.http1.framing import Framing
from sandbox.protocols.http1.grammar import Fields, ResponseHead

C_contra = TypeVar("C_contra", contravariant=True)


class Exchange(Protocol):
    """Consumer of a response.

    :ivar method: the request's method, which determines whether the response has a body.
    :ivar upgrading: whether the request offered an upgrade, so that a 101 is a valid response.
    :ivar sent_all: whether the whole request has been written.
    """

    method: bytes
    upgrading: bool
    sent_all: bool

    def interim(self, head: ResponseHead) -> None:
        """A 1xx response other than 101."""

    def switched(self, head: ResponseHead, rest: bytes) -> None:
        """A 101 to an offered upgrade, and the bytes behind it. The callee must call :meth:`Upstream.upgrade`."""

    def responded(self, head: ResponseHead, framing: Framing) -> None:
        """The final response's head. :meth:`received` follows at once with the first part of the body."""

    def received(self, pieces: list[bytes], trailers: Fields | None) -> None:
        """Pieces of the body, maybe none. With ``trailers`` it is complete, and the connection was released."""

    def broken(self, error: SandboxError) -> None:
        """The connection failed, or the response was malformed, before its end; the connection is closed."""


class PoolCallbacks(Protocol[C_contra]):
    """The pool's interface to its connections; implemented by :class:`sandbox.gateway.upstream.pool.Pool`."""

    @property
    def run_queue(self) -> RunQueue:
        """The queue in which a connection continues deferred work."""

    def response_deadline(self) -> float:
        """The response deadline of a request that is sent now."""

    def connected(self, upstream: C_contra) -> None:
        """The connection was established."""

    def release(self, upstream: C_contra) -> None:
        """The request is over, and the connection is reusable."""

    def forget(self, upstream: C_contra) -> None:
        """The connection is being closed: do not reuse it."""

    def lost(self, upstream: C_contra) -> None:
        """The connection is closed."""
