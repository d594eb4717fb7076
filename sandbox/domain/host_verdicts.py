"""Where applications are told that they are, and what was found out about what they take (contract section 5)."""

from __future__ import annotations

import enum
import math

import attrs

# Of WebSockets' paths that are remembered: how many, and bytes of one. Visitors choose them.
_SOCKET_PATHS, _SOCKET_PATH = 16, 256


class HostMode(enum.Enum):
    """Where an application is told that it is (contract section 5).

    ``PUBLIC``: where browsers find it. ``LOCAL``: at ``localhost:<port>``. ``AUTO``: public, unless it refuses that.
    """

    AUTO = "auto"
    PUBLIC = "public"
    LOCAL = "local"


@attrs.define(eq=False)
class HostVerdict:
    """What an application was found to take, for one form of its addresses: what a daemon learns on its way.

    :ivar found: ``PUBLIC`` or ``LOCAL``; ``None`` while that is not known.
    :ivar due: whether it is to be asked before the next request: it never was, or there is reason to doubt.
    :ivar patient: whether requests wait for the answer; not for one that took too long before.
    :ivar not_before: the clock's time before which it is not asked again.
    :ivar local_sockets: paths of WebSockets that are told the local host nevertheless, the oldest first.
    """

    found: HostMode | None = None
    due: bool = True
    patient: bool = True
    not_before: float = -math.inf
    local_sockets: dict[bytes, None] = attrs.field(factory=dict)

    def doubt(self) -> None:
        """It refused a request: it may be another application by now. For the time being its verdict holds."""
        self.due = True

    def forget(self) -> None:
        """It could not be reached: what answers next may be another application, and is asked first."""
        self.found, self.due, self.patient, self.not_before = None, True, True, -math.inf
        self.local_sockets.clear()

    def refuse_socket(self, path: bytes, local: bool) -> None:
        """It refused a WebSocket's handshake: the next one of that path is told the other host.

        Dev servers may take a page's host and not its socket's origin (``allowedDevOrigins`` of Next.js).

        :param local: what this one was told.
        """
        self.local_sockets.pop(path, None)
        if not local and len(path) <= _SOCKET_PATH:
            self.local_sockets[path] = None
            if len(self.local_sockets) > _SOCKET_PATHS:
                del self.local_sockets[next(iter(self.local_sockets))]


@attrs.frozen(eq=False)
class HostVerdicts:
    """Both forms of one port in one life of a container: on a host of its own, and by path."""

    host: HostVerdict = attrs.field(factory=HostVerdict)
    path: HostVerdict = attrs.field(factory=HostVerdict)

    def forget(self) -> None:
        """See :meth:`HostVerdict.forget`."""
        self.host.forget()
        self.path.forget()
