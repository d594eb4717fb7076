"""Which Host an application is sent, and verdicts on which one it accepts (contract section 5)."""

from __future__ import annotations

import enum
import math

import attrs

# Bounds on remembered WebSocket paths, which visitors choose: number of paths, and bytes of a path.
_SOCKET_PATHS, _SOCKET_PATH = 16, 256


class HostMode(enum.Enum):
    """Which Host an application is sent (contract section 5).

    ``PUBLIC``: the browser's. ``LOCAL``: ``localhost:<port>``. ``AUTO``: public, unless the application rejects it.
    """

    AUTO = "auto"
    PUBLIC = "public"
    LOCAL = "local"


@attrs.define(eq=False)
class HostVerdict:
    """Result of probing which Host an application accepts, for one form of its addresses.

    :ivar found: ``PUBLIC`` or ``LOCAL``; ``None`` while unknown.
    :ivar due: whether to probe before the next request: never probed, or the verdict is in doubt.
    :ivar patient: whether requests wait for the probe; false after a probe that timed out.
    :ivar not_before: earliest time of the next probe, on the monotonic clock.
    :ivar local_sockets: paths of WebSockets that are sent the local host regardless, oldest first.
    """

    found: HostMode | None = None
    due: bool = True
    patient: bool = True
    not_before: float = -math.inf
    local_sockets: dict[bytes, None] = attrs.field(factory=dict)

    def doubt(self) -> None:
        """The application rejected a request, so it may have been replaced. Keep the verdict until the next probe."""
        self.due = True

    def forget(self) -> None:
        """The application was unreachable, so the next one may be another: drop the verdict and probe first."""
        self.found, self.due, self.patient, self.not_before = None, True, True, -math.inf
        self.local_sockets.clear()

    def refuse_socket(self, path: bytes, local: bool) -> None:
        """The application rejected a WebSocket handshake: send the other host to the next one on that path.

        Dev servers may accept a page's host but not its socket's origin (``allowedDevOrigins`` of Next.js).

        :param local: whether the rejected handshake had the local host.
        """
        self.local_sockets.pop(path, None)
        if not local and len(path) <= _SOCKET_PATH:
            self.local_sockets[path] = None
            if len(self.local_sockets) > _SOCKET_PATHS:
                del self.local_sockets[next(iter(self.local_sockets))]


@attrs.frozen(eq=False)
class HostVerdicts:
    """Verdicts on one port in one life of a container, for both forms of preview: host and path."""

    host: HostVerdict = attrs.field(factory=HostVerdict)
    path: HostVerdict = attrs.field(factory=HostVerdict)

    def forget(self) -> None:
        """See :meth:`HostVerdict.forget`."""
        self.host.forget()
        self.path.forget()
