"""Protocols between the modules of the server, which avoid circular imports."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sandbox.http.limits import Limits
from sandbox.net.deadlines import Deadlines
from sandbox.net.fairness import RunQueue
from sandbox.protocols.http1.grammar import Malformed


class Peer(Protocol):
    """An object with a remote end.

    :ivar peer: address of the remote end; ``None`` on a UNIX socket.
    """

    @property
    def peer(self) -> str | None: ...


class Names(Protocol):
    """Assigns request ids; see :class:`sandbox.http.identity.RequestIds`."""

    def take(self, connection: Peer, head: bytes) -> tuple[bytes, bytes]:
        """Return a request's id, and its head without the field of that id."""


class Refuser(Protocol):
    """Responses to malformed requests; see :class:`sandbox.http.refusals.Refusals`."""

    def refuse(self, connection: Any, error: Malformed, head: bytes | bytearray) -> None:
        """Refuse a malformed request, now or later."""

    def discard(self, connection: Any) -> None:
        """Drop the pending refusal of a connection that ended."""

    def response(self, connection: Any, error: Malformed, head: bytes) -> bytes:
        """Return the response to a malformed request; count and log it."""


class Channel(Protocol):
    """What a request is made on; :class:`sandbox.http.connection.Connection` is one.

    The rest of it is reached by :attr:`Request.channel`, which has no type in ``twisted.web``.
    """

    site: Any


class ConnectionSite(Protocol):
    """A site as a connection uses it; see :class:`sandbox.http.site.Site`.

    :ivar requestFactory: creates a request from a connection, a head, a framing and an id.
    :ivar admit: see :data:`sandbox.http.admission.Admit`.
    :ivar stopping: whether responses must close their connections.
    """

    requestFactory: Callable[..., Any]
    admit: Callable[[Any], Any]
    stopping: bool

    @property
    def limits(self) -> Limits: ...

    @property
    def deadlines(self) -> Deadlines: ...

    @property
    def run_queue(self) -> RunQueue: ...

    @property
    def refusals(self) -> Refuser: ...

    @property
    def ids(self) -> Names: ...

    def connection_opened(self, connection: Any) -> None:
        """Register an opened connection."""

    def connection_lost(self, connection: Any) -> None:
        """Remove a lost connection."""
