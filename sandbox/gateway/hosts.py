"""Preview hosts: each preview has its own host, and so its own origin (docs/previews.md)."""

from __future__ import annotations

from functools import lru_cache

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sandbox.gateway.pages import respond
from sandbox.gateway.resource import PreviewResource
from sandbox.http.admission import STREAM, Admission, Admit
from sandbox.http.request import Request
from sandbox.http.routes import NO_PATH, Root
from sandbox.protocols.hostnames import Addresses, PreviewHost

#: Path of the health check on a preview's host. ``/health`` there belongs to the application, like every other path.
HEALTH = b"/.sandbox/health"
#: Cached hosts, and the size in bytes up to which a host is cached: the longest DNS name with a port.
_REMEMBERED, _LONGEST = 1024, 260


class PreviewHosts(Root):
    """The root of a site that routes by the Host before the path.

    The host of a preview takes every path, so that no path of the daemon shadows one of the application. Other
    hosts under the preview domain get 404, so that a proxy's filter on the daemon's own paths and name cannot be
    bypassed by them. Any other host is routed by path. Both address forms share one resource, and so its rules.

    :param routes: the routes of every other host.
    """

    def __init__(self, addresses: Addresses, previews: PreviewResource, routes: Root) -> None:
        super().__init__()
        self._addresses = addresses
        self._previews = previews
        self._routes = routes
        self._remember = lru_cache(_REMEMBERED)(self._door)

    def admit(self, request: Request) -> Admission:
        """Admit a request by its Host; the site calls this when a head is read."""
        host = request.known.get(b"host", b"")
        return (self._remember if len(host) <= _LONGEST else self._door)(host)(request)

    def _door(self, host: bytes) -> Admit:
        """The admission of requests for a host."""
        found = self._addresses.read_host(host)
        if found is None:
            return _admit_to_nothing if self._addresses.is_below(host) else self._routes.admit
        resource = _OnHost(self._previews, found)

        def admit(request: Request) -> Admission:
            request.resource = resource
            request.route = "preview"
            return STREAM

        return admit


def _admit_to_nothing(request: Request) -> Admission:
    request.resource = _NOTHING
    return STREAM


class _Nothing(Resource):
    """Hosts under the preview domain that name no preview."""

    isLeaf = True

    def render(self, request: Request) -> int:
        """Respond with 404."""
        respond(request, NO_PATH)
        return NOT_DONE_YET


_NOTHING = _Nothing()  # type: ignore[no-untyped-call]


class _OnHost(Resource):
    """One preview on its own host."""

    isLeaf = True

    def __init__(self, previews: PreviewResource, host: PreviewHost) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._previews = previews
        self._host = host

    def render(self, request: Request) -> int:
        """Forward a request unchanged, or check the preview's health."""
        if request.method == b"GET" and request.uri.partition(b"?")[0] == HEALTH:
            self._previews.check_health(request, self._host.session_id, self._host.port)
        else:
            self._previews.carry(request, self._host.session_id, b"", self._host.port)
        return NOT_DONE_YET
