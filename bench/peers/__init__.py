"""Who is compared: proxies that a platform could put in front of its sessions' applications."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import attrs


@attrs.frozen
class Place:
    """Where a proxy is started.

    :ivar scratch: a directory for what it needs, readable by all.
    :ivar routes: the port of 127.0.0.1 that each session's application listens on.
    :ivar engine: the simulated engine's socket.
    :ivar before: checkout of an earlier commit to compare with, if any.
    """

    scratch: Path
    routes: Mapping[str, int]
    engine: Path
    before: Path | None = None


@attrs.frozen
class Proxy:
    """A proxy that runs.

    :ivar pid: 0 for no proxy at all.
    :ivar headers: fields that its clients send.
    """

    pid: int
    ports: Mapping[str, int]
    headers: Sequence[str] = ()
    prefixed: bool = True

    @classmethod
    def single(cls, pid: int, port: int, place: Place, headers: Sequence[str] = ()) -> Proxy:
        """One that serves every session on one port, by path."""
        return cls(pid, dict.fromkeys(place.routes, port), headers)

    def port(self, session: str) -> int:
        """Where a session's application is found."""
        return self.ports[session]

    def path(self, session: str, path: str) -> str:
        """The target under which a path of a session's application is found."""
        return f"/previews/{session}{path}" if self.prefixed else path

    def url(self, session: str, path: str) -> str:
        """The same as a URL."""
        return f"http://127.0.0.1:{self.port(session)}{self.path(session, path)}"


@attrs.frozen
class Peer:
    """A proxy to be started.

    :ivar title: as tables and plots show it.
    """

    name: str
    title: str
    start: Callable[[Place], AbstractContextManager[Proxy]]
