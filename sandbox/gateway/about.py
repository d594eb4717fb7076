"""The public page at the daemon's root: its name, and the addresses of its health checks and API documentation."""

from __future__ import annotations

from twisted.python.failure import Failure

from sandbox import __version__
from sandbox.domain.errors import InvalidRequest
from sandbox.gateway.pages import HTML, PAGE_FIELDS, respond_error, wants_page
from sandbox.http.replies import Reply, error_reply
from sandbox.http.request import Request
from sandbox.policy.queries import refuse_parameters

_WHAT = "The daemon between an AI platform and the containers in which its users' code runs."
_API, _DOCUMENTATION = "/api/internal/openapi.json", "/api/internal/docs"

_PAGE = """<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>sandbox</title>
<style>
:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}}
main{{max-width:32rem;padding:1.5rem}}
h1{{font-size:1.5rem;margin:0 0 .5rem}}
p{{margin:.5rem 0}}
</style>
<main><h1>sandbox{version}</h1><p>{what}</p>
{api}
<p>Liveness: <a href=/healthz>/healthz</a>. Readiness: <a href=/readyz>/readyz</a>.</p></main>
</html>
"""
_HERE = (
    f"<p>Its API is described at <a href={_DOCUMENTATION}>{_DOCUMENTATION}</a>, and for programs at "
    f"<a href={_API}>{_API}</a>; both need the service key, in the field <code>X-Internal-Service-Key</code>.</p>"
)
_ELSEWHERE = "<p>Its API is served on another listener, for the platform alone.</p>"


def respond_about(request: Request, *, api: bool, keyed: bool) -> None:
    """Respond to a request for the root.

    :param api: whether the internal API is served on this site.
    :param keyed: whether the request has the service key; only then does the response include the version.
    """
    if request.method not in {b"GET", b"HEAD"}:
        request.respond(error_reply(405, "METHOD_NOT_ALLOWED", "Method not allowed", ((b"allow", b"GET, HEAD"),)))
        return
    try:
        refuse_parameters(request.uri)
    except InvalidRequest:
        respond_error(request, Failure())
        return
    if wants_page(request):
        page = _PAGE.format(version=f" {__version__}" if keyed else "", what=_WHAT, api=_HERE if api else _ELSEWHERE)
        request.respond(Reply(200, None, PAGE_FIELDS), page.encode("utf-8"), HTML)
        return
    told = {"name": "sandbox", "description": _WHAT, "health": "/healthz", "readiness": "/readyz"}
    told |= {"api": _API, "documentation": _DOCUMENTATION} if api else {}
    told |= {"version": __version__} if keyed else {}
    request.respond(Reply(200, told, ((b"cache-control", b"no-store"), (b"vary", b"accept, sec-fetch-mode"))))
