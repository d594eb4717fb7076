"""What a site has carried, counted by the parts of the daemon that carry it."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from http import HTTPStatus
from typing import TYPE_CHECKING

from sandbox.http.responses import CLIENT_LEFT
from sandbox.net.instruments import SECONDS, Histogram

if TYPE_CHECKING:
    from sandbox.http.request import Request

# Names that a client or an application can make up are not counted apart: there must be few.
_METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"CONNECT", b"TRACE"})
_STATUSES = frozenset({*map(int, HTTPStatus), CLIENT_LEFT})
OTHER = b"other"


class RouteTraffic:
    """What one route has carried.

    :ivar responses: by method (:data:`OTHER` stands for unusual ones) and status (unusual ones by their hundred).
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
        """Count a response whose like has not been counted, or never is."""
        key = method if method in _METHODS else OTHER, status if status in _STATUSES else status // 100 * 100
        self.responses[key] = self.responses.get(key, 0) + 1


class Traffic:
    """What all sites of a daemon have carried.

    :ivar routes: by a route's name (:attr:`sandbox.http.request.Request.route`).
    :ivar refused: what came and was no request, by the status of the answer that said so.
    :ivar errors: the daemon's own error answers, by their code; what an application answers is none of them.
    """

    def __init__(self) -> None:
        self.routes: defaultdict[str, RouteTraffic] = defaultdict(RouteTraffic)
        self.refused: defaultdict[int, int] = defaultdict(int)
        self.errors: defaultdict[str, int] = defaultdict(int)

    def add(self, request: Request, seconds: float) -> None:
        """Count a request that is over; its connection is still there."""
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
