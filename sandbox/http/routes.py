"""Which part of the daemon a request belongs to, by the raw bytes of its target."""

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
    """The admission of a request that no route takes."""
    return _UNKNOWN


@attrs.frozen
class Route:
    """What begins with ``prefix`` is admitted by ``admit`` and rendered by ``resource``.

    :ivar name: see :attr:`sandbox.http.request.Request.route`.
    """

    prefix: bytes
    admit: Admit
    resource: IResource
    name: str = "other"


class Root(Resource):
    """The root of a site, which is its door, too: what admits a request also finds the resource that renders it.

    A leaf, so that ``twisted.web`` takes no path apart to look for children.
    """

    isLeaf = True

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def admit(self, request: Request) -> Admission:
        """Admit or refuse; who admits sets ``request.resource``."""
        return _UNKNOWN

    def render(self, request: Request) -> bytes | int:
        """Have the resource that was found render it."""
        return request.resource.render(request)  # type: ignore[no-any-return]


class Routes(Root):
    """A root of routes. A request's route is looked up once, when it is admitted.

    The prefixes are compared with the target as it came, before anybody decodes it: ``/api/%69nternal/`` is no way
    around the guard of ``/api/internal/``, it is no path at all.

    :param routes: the first whose prefix fits is taken.
    :param otherwise: admits or refuses what no route takes.
    """

    def __init__(self, routes: Sequence[Route], otherwise: Admit = refuse_unknown) -> None:
        super().__init__()
        self._routes = routes
        self._otherwise = otherwise

    def admit(self, request: Request) -> Admission:
        """The door of the site that this is the root of."""
        for route in self._routes:
            if request.uri.startswith(route.prefix):
                request.resource = route.resource
                request.route = route.name
                return route.admit(request)
        return self._otherwise(request)
