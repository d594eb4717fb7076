"""Preview hosts: each preview on a host, and so an origin, of its own (docs/previews.md)."""

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

#: Where ``GET`` asks for a preview's health on its own host. ``/health`` there is the application's, like all else.
HEALTH = b"/.sandbox/health"
#: Hosts that are remembered, and bytes of the longest one that is: no name in the DNS is longer, with its port.
_REMEMBERED, _LONGEST = 1024, 260


class PreviewHosts(Root):
    """The root of a site that looks at the Host before the path.

    A host that names a preview takes the whole request, so that no path of ours shadows one of the application's. Other
    hosts under the preview domain are nobody's: whoever filters our own paths in front of us, by our own name, need not
    think of them. Any other request goes where the routes say. The rules are those of the path form: the same resource
    carries both.

    :param routes: for every other host.
    """

    def __init__(self, addresses: Addresses, previews: PreviewResource, routes: Root) -> None:
        super().__init__()
        self._addresses = addresses
        self._previews = previews
        self._routes = routes
        self._remember = lru_cache(_REMEMBERED)(self._door)

    def admit(self, request: Request) -> Admission:
        """The door of the site that this is the root of."""
        host = request.known.get(b"host", b"")
        return (self._remember if len(host) <= _LONGEST else self._door)(host)(request)

    def _door(self, host: bytes) -> Admit:
        """Who admits requests for a host."""
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
    """Says so, to a browser by a page."""

    isLeaf = True

    def render(self, request: Request) -> int:
        """Answer with 404."""
        respond(request, NO_PATH)
        return NOT_DONE_YET


_NOTHING = _Nothing()  # type: ignore[no-untyped-call]


class _OnHost(Resource):
    """One preview, as its host names it."""

    isLeaf = True

    def __init__(self, previews: PreviewResource, host: PreviewHost) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._previews = previews
        self._host = host

    def render(self, request: Request) -> int:
        """Carry a request as it is, or answer for the preview's health."""
        if request.method == b"GET" and request.uri.partition(b"?")[0] == HEALTH:
            self._previews.check_health(request, self._host.session_id, self._host.port)
        else:
            self._previews.carry(request, self._host.session_id, b"", self._host.port)
        return NOT_DONE_YET
