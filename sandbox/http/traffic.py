"""Traffic counters of sites, updated by the components that handle requests."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.http.responses import CLIENT_LEFT
from sandbox.net.instruments import SECONDS, Histogram

if TYPE_CHECKING:
    from sandbox.http.request import Request

# Other methods are counted together: the number of labels must be bounded, and clients can invent methods.
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE"})
_STATUSES = frozenset({*map(int, HTTPStatus), CLIENT_LEFT})
OTHER = b"other"


class RouteTraffic:
    """Traffic of one route.

    :ivar responses: by method (:data:`OTHER` for unusual ones) and status (unusual ones rounded to the hundred).
    :ivar durations: from a request's head to the end of its response, or of its handshake.
    :ivar received: bytes of requests, their heads included.
    :ivar sent: bytes of responses, their heads included.
    """

    __slots__ = ("durations", "received", "responses", "sent")

    def __init__(self) -> None:
        self.responses: dict[tuple[bytes, int], int] = {}
        self.durations = Histogram()
        self.received = 0
        self.sent = 0

    def first(self, method: bytes, status: int) -> None:
        """Count a response with a new combination of method and status, or with an unusual one."""
        key = method if method in _METHODS else OTHER, status if status in _STATUSES else status // 100 * 100
        self.responses[key] = self.responses.get(key, 0) + 1


class Traffic:
    """Traffic of all sites of a daemon.

    :ivar routes: by name of the route (:attr:`sandbox.http.request.Request.route`).
    :ivar refused: malformed requests, by status of the response.
    :ivar errors: the daemon's own error responses, by code; excludes responses of applications.
    """

    def __init__(self) -> None:
        self.routes: defaultdict[str, RouteTraffic] = defaultdict(RouteTraffic)
        self.refused: defaultdict[int, int] = defaultdict(int)
        self.errors: defaultdict[str, int] = defaultdict(int)

    def add(self, request: Request, seconds: float) -> None:
        """Count a finished request, while its connection still exists."""
        route = self.routes[request.route]
        try:
            route.responses[request.method, request.code] += 1
        except KeyError:
            route.first(request.method, int(request.code))
        if request.error:
            self.errors[request.error] += 1
        durations = route.durations
        durations.counts[bisect_left(SECONDS, seconds)] += 1  # Histogram.add, without the call
        durations.total += seconds
        channel = request.channel
        route.received += channel.bytes_in
        route.sent += channel.bytes_out
