"""Twisted's ``ReverseProxyResource``, as its documentation shows it: ``python -m bench.peers.stock PORT ROUTES``."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.peers import Peer, Place, Proxy
from bench.processes import MEASURED, free_port, running

_ROOT = Path(__file__).parents[2]


@contextmanager
def _stock(place: Place) -> Iterator[Proxy]:
    port = free_port()
    command = [sys.executable, "-m", "bench.peers.stock", str(port), json.dumps(dict(place.routes))]
    log = place.scratch / f"stock-{port}.log"
    with running(command, core=MEASURED, log=log, port=port, directory=_ROOT) as pid:
        yield Proxy.single(pid, port, place)


STOCK = Peer("stock", "ReverseProxyResource", _stock)


def _serve(port: int, routes: dict[str, int]) -> None:
    from twisted.internet import epollreactor  # noqa: PLC0415 - a program of its own, in which a reactor runs

    epollreactor.install()
    from twisted.internet import reactor as installed  # noqa: PLC0415
    from twisted.web.proxy import ReverseProxyResource  # noqa: PLC0415
    from twisted.web.resource import Resource  # noqa: PLC0415
    from twisted.web.server import Site  # noqa: PLC0415

    reactor: Any = installed
    root, previews = Resource(), Resource()
    root.putChild(b"previews", previews)
    for name, target in routes.items():
        previews.putChild(name.encode(), ReverseProxyResource("127.0.0.1", target, b""))
    reactor.listenTCP(port, Site(root), interface="127.0.0.1", backlog=8192)
    reactor.run()


if __name__ == "__main__":
    _serve(int(sys.argv[1]), json.loads(sys.argv[2]))
