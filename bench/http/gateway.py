"""The gateway alone, for measuring: ``python -m bench.http.gateway LISTEN_PORT BACKEND_PORT [profile-file]``."""

from __future__ import annotations

import cProfile
import signal
import sys
from typing import Any

from sandbox.reactor import install

install()

from twisted.internet import reactor as _reactor  # noqa: E402

from sandbox.gateway.pool import Pool  # noqa: E402
from sandbox.gateway.resource import PreviewResource  # noqa: E402
from sandbox.http.admission import STREAM  # noqa: E402
from sandbox.http.deadlines import Deadlines  # noqa: E402
from sandbox.http.routes import Route, Routes  # noqa: E402
from sandbox.http.site import Site  # noqa: E402
from sandbox.model import Container, ContainerState, Preview  # noqa: E402
from sandbox.operations.previews import Previews  # noqa: E402

reactor: Any = _reactor


class OneContainer:
    """The least of a runtime that the registry of previews asks for on each request."""

    def __init__(self) -> None:
        self._container = Container(
            id="c", session_id="bench", state=ContainerState.RUNNING, image="i", address="127.0.0.1", started_at="t"
        )

    def peek(self, session_id: str) -> Container:
        """The picture that an event stream would keep true."""
        return self._container


def main() -> None:
    """Serve until SIGTERM."""
    listen, backend = int(sys.argv[1]), int(sys.argv[2])
    previews = Previews(OneContainer(), 10)  # type: ignore[arg-type]
    previews._registered["bench"] = Preview(session_id="bench", port=backend)
    pool = Pool(reactor, Deadlines(reactor))
    resource = PreviewResource(reactor, b"/previews/", previews, pool)
    routes = Routes([Route(b"/previews/", lambda request: STREAM, resource)])
    reactor.listenTCP(listen, Site(routes, reactor, admit=routes.admit), interface="127.0.0.1", backlog=8192)
    if len(sys.argv) < 4:
        reactor.run()
        return
    profile = cProfile.Profile()
    signal.signal(signal.SIGUSR1, lambda *_: profile.enable())
    reactor.addSystemEventTrigger("after", "shutdown", lambda: profile.dump_stats(sys.argv[3]))
    reactor.run()


if __name__ == "__main__":
    main()
