"""The gateway alone, for measuring: ``python -m bench.websockets.gateway LISTEN_PORT BACKEND_PORT``."""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor as _reactor  # noqa: E402

from sandbox.gateway.pool import Pool  # noqa: E402
from sandbox.gateway.resource import PreviewResource  # noqa: E402
from sandbox.gateway.websocket import WebSockets  # noqa: E402
from sandbox.http.admission import STREAM  # noqa: E402
from sandbox.http.deadlines import Deadlines  # noqa: E402
from sandbox.http.routes import Route, Routes  # noqa: E402
from sandbox.http.site import Site  # noqa: E402
from sandbox.model import Preview, Target  # noqa: E402
from sandbox.policy.pooling import PoolLimits  # noqa: E402

reactor: Any = _reactor


class OnePreview:
    """Knows one application, on this machine."""

    def __init__(self, port: int) -> None:
        self._found = Preview(session_id="bench", port=port), Target("container", "then", "127.0.0.1", port)

    def resolve(self, session_id: str) -> tuple[Preview, Target]:
        """See :class:`sandbox.gateway.doors.Resolver`."""
        return self._found


def main() -> None:
    """Serve until SIGTERM."""
    listen, backend = int(sys.argv[1]), int(sys.argv[2])
    pool = Pool(reactor, Deadlines(reactor), limits=PoolLimits(open=100_000))
    sockets = WebSockets(reactor, pool)
    resource = PreviewResource(reactor, b"/previews/", OnePreview(backend), pool, upgrades=sockets)
    routes = Routes([Route(b"/previews/", lambda request: STREAM, resource)])
    reactor.listenTCP(listen, Site(routes, reactor, admit=routes.admit), interface="127.0.0.1", backlog=8192)
    reactor.run()


if __name__ == "__main__":
    main()
