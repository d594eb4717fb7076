"""What the parts of the server need of each other, so that none has to import the one that made it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from sandbox.http.limits import Limits
from sandbox.net.deadlines import Deadlines
from sandbox.net.fairness import RunQueue
from sandbox.protocols.http1.grammar import Malformed


class Peer(Protocol):
    """Something with another end.

    :ivar peer: its address; ``None`` on a UNIX socket.
    """

    @property
    def peer(self) -> str | None: ...


class Names(Protocol):
    """Names requests; :class:`sandbox.http.identity.RequestIds`."""

    def take(self, connection: Peer, head: bytes) -> tuple[bytes, bytes]:
        """A request's name, and its head without it."""


class Channel(Protocol):
    """What a request is made on; :class:`sandbox.http.connection.Connection` is one.

    The rest of it is reached by :attr:`Request.channel`, which has no type in ``twisted.web``.
    """

    site: Any


class ConnectionSite(Protocol):
    """What a connection needs of its site; :class:`sandbox.http.site.Site` is one.

    :ivar requestFactory: makes a request of a connection, its head, its framing and its name.
    :ivar admit: see :data:`sandbox.http.admission.Admit`.
    :ivar stopping: whether responses have to close their connections.
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
    def ids(self) -> Names: ...

    def connection_opened(self, connection: Any) -> None:
        """A connection is there."""

    def connection_lost(self, connection: Any) -> None:
        """A connection is gone."""

    def refusal(self, connection: Peer, error: Malformed, head: bytes) -> bytes:
        """The answer to what is no request; it is counted and logged."""
