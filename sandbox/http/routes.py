"""Routing of requests to parts of the daemon, by the raw bytes of the target."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.web.resource import IResource, Resource

from sandbox.http.admission import Admission, Admit, Refuse
from sandbox.http.replies import error_reply
from sandbox.http.request import Request

NO_PATH = error_reply(404, "NOT_FOUND", "No such path")
_UNKNOWN = Refuse(NO_PATH)


def refuse_unknown(request: Request) -> Admission:
    """Admission of a request without a matching route: 404."""
    return _UNKNOWN


@attrs.frozen
class Route:
    """Targets that start with ``prefix`` are admitted by ``admit`` and rendered by ``resource``.

    :ivar name: see :attr:`sandbox.http.request.Request.route`.
    """

    prefix: bytes
    admit: Admit
    resource: IResource
    name: str = "other"


class Root(Resource):
    """Root resource of a site, and its admission: admitting a request also selects the resource that renders it.

    A leaf, so that ``twisted.web`` does not split paths to look for children.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def admit(self, request: Request) -> Admission:
        """Admit or reject a request; admitting sets ``request.resource``."""
        return _UNKNOWN

    def render(self, request: Request) -> bytes | int:
        """Delegate to the selected resource."""
        return request.resource.render(request)  # type: ignore[no-any-return]


class Routes(Root):
    """Root resource with routes. A request's route is looked up once, at its admission.

    Prefixes are compared with the raw target, before any decoding: ``/api/%69nternal/`` cannot bypass the guard of
    ``/api/internal/``, because it matches no route.

    :param routes: the first one with a matching prefix is selected.
    :param otherwise: admits or rejects requests without a matching route.
    """

    def __init__(self, routes: Sequence[Route], otherwise: Admit = refuse_unknown) -> None:
        super().__init__()
        self._routes = routes
        self._otherwise = otherwise

    def admit(self, request: Request) -> Admission:
        """Admission of the site, by the route of the request."""
        for route in self._routes:
            if request.uri.startswith(route.prefix):
                request.resource = route.resource
                request.route = route.name
                return route.admit(request)
        return self._otherwise(request)
