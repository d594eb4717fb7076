"""Redirects root-relative requests of applications that do not know their prefix (contract section 5)."""

from __future__ import annotations

import re
from collections.abc import Callable

from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

from sandbox.gateway.about import respond_about
from sandbox.gateway.pages import respond
from sandbox.gateway.resource import NOT_FOUND
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.protocols.http1.origins import canonical_authority

_REFERER = re.compile(rb"(https?)://([^/?#]*)(/previews/[A-Za-z0-9_-]{1,64})(?:[/?#].*)?", re.IGNORECASE)


def preview_of(referer: bytes, host: bytes) -> bytes | None:
    """The prefix of the preview that a Referer of this origin belongs to.

    >>> preview_of(b"http://x.org/previews/abc/index.html", b"x.org")
    b'/previews/abc'
    >>> preview_of(b"http://evil.org/previews/abc/", b"x.org") is None
    True
    """
    match = _REFERER.fullmatch(referer)
    if match is None or canonical_authority(match[1], match[2]) != canonical_authority(match[1], host):
        return None
    return match[3]


class Fallback(Resource):
    """Serves every request that matches no route.

    A request from a preview's page is redirected into that preview. Module imports chain: the browser uses the
    redirect's target as the next Referer. The root has a page about the daemon; every other path is 404.

    :param enabled: whether to redirect by the Referer.
    :param knows: whether a request has the service key.
    :param api: whether the internal API is served on the same site.
    """

    isLeaf = True

    def __init__(
        self, enabled: bool = True, *, knows: Callable[[Request], bool] = lambda _: False, api: bool = False
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._enabled = enabled
        self._knows = knows
        self._api = api

    def preview(self, request: Request) -> bytes | None:
        """The prefix of the preview that a request is redirected into; ``None`` when it is not."""
        if not self._enabled or not request.uri.startswith(b"/"):
            return None
        return preview_of(request.known.get(b"referer", b""), request.known.get(b"host", b""))

    def render(self, request: Request) -> int:
        """Redirect (a 307 preserves method and body), show the daemon's page, or respond with 404."""
        prefix = self.preview(request)
        if prefix is not None:
            location = prefix + request.uri
            fields = ((b"location", location), (b"cache-control", b"no-store"), (b"vary", b"referer"))
            request.respond(Reply(307, None, fields))
        elif request.uri.partition(b"?")[0] == b"/":
            respond_about(request, api=self._api, keyed=self._knows(request))
        else:
            respond(request, NOT_FOUND)
        return NOT_DONE_YET
