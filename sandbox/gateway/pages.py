"""Errors on previews: a small page for a browser's navigation, JSON for everything else (contract section 1)."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

from twisted.python.failure import Failure

from sandbox.http.replies import Reply, reply_to
from sandbox.http.request import Request
from sandbox.net.log_context import on_behalf_of

HTML = b"text/html; charset=utf-8"
_SAFE = {b"GET", b"HEAD"}

#: The header fields of a page of ours.
# No script, style or image from elsewhere, and nobody may frame what says "not reachable" as if it were theirs.
PAGE_FIELDS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"),
    (b"vary", b"accept, sec-fetch-mode"),
    (b"x-content-type-options", b"nosniff"),
)

_ADVICE = {
    "PREVIEW_NOT_REGISTERED": "Start an application in this session and register its port as the preview.",
    "PREVIEW_UNREACHABLE": "The application is not answering yet. This page reloads itself until it does.",
    "PREVIEW_BAD_ANSWER": "Something listens on the preview's port, but what it says is not HTTP.",
    "PREVIEW_TIMEOUT": "The application took the request and did not answer. Look at its output, then try again.",
    "CONTAINER_NOT_RUNNING": "The session's container is stopped. Start the session, then try again.",
    "CONTAINER_PAUSED": "The session's container is paused. Start the session, then try again.",
    "CONTAINER_NOT_FOUND": "The session has no container any more.",
    "CROSS_ORIGIN": "Another page asked for this. Open the preview itself, then try again there.",
    "OVERLOADED": "Too much is going on at once. Try again in a moment.",
}

_LATER = "Try again in a moment."

# After 1, 2, 4 and then every 8 seconds. Its tries are counted where a reload keeps them and the address does not show
# them: the fragment is the application's.
_RELOAD = (
    "<script>var s=history.state,n=s&&s.sandboxRetry|0;setTimeout(function(){"
    "history.replaceState(Object.assign({},s,{sandboxRetry:n+1}),'');location.reload()},"
    "1000*Math.min(8,Math.pow(2,n)))</script>"
    "<noscript><meta http-equiv=refresh content=4></noscript>"
)

_PAGE = """<!doctype html>
<html lang=en><meta charset=utf-8><meta name=viewport content="width=device-width,initial-scale=1">
<title>{title}</title>
<style>
:root{{color-scheme:light dark}}
body{{font:1rem/1.5 system-ui,sans-serif;margin:0;min-height:100vh;display:grid;place-items:center}}
main{{max-width:32rem;padding:1.5rem}}
h1{{font-size:1.5rem;margin:0 0 .5rem}}
p{{margin:.5rem 0}}
small{{opacity:.7}}
</style>{reload}
<main><h1>{title}</h1><p>{message}</p><p>{advice}</p><small>{status} {phrase} &middot; {code}</small></main>
</html>
"""


def wants_page(request: Request) -> bool:
    """Whether a browser is navigating: it says so itself in Sec-Fetch-Mode, a form that it sends included; older ones
    are known by what they accept."""
    mode = request.known.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return request.method in _SAFE and b"text/html" in request.known.get(b"accept", b"").lower()


def respond_error(request: Request, failure: Failure) -> None:
    """Answer with what an error becomes; nothing happens when the client has left."""
    with on_behalf_of(request.id, request.session_id):
        reply = reply_to(failure)
    if request.channel is not None:
        respond(request, reply)


def respond(request: Request, reply: Reply) -> None:
    """Answer with an error reply, as a page or as JSON by who asks."""
    if wants_page(request):
        with_fields = Reply(reply.status, reply.payload, reply.headers + PAGE_FIELDS)
        request.respond(with_fields, page(reply, again=request.method in _SAFE), HTML)
    else:
        request.respond(Reply(reply.status, reply.payload, (*reply.headers, (b"cache-control", b"no-store"))))


def page(reply: Reply, again: bool = True) -> bytes:
    """The page of an error reply. All that it shows is escaped, the message too: ids and words of others are in it.

    :param again: whether it may ask again by itself: a form is not to be sent twice.
    """
    payload = reply.payload or {}
    code = str(payload.get("code", ""))
    starting = code == "PREVIEW_UNREACHABLE"
    message = str(payload.get("message", ""))
    text = _PAGE.format(
        title="The preview is starting" if starting else escape(message),
        message=escape(message) if starting else "",
        advice=escape(_ADVICE.get(code, _LATER if reply.status >= 500 else "") if again or not starting else _LATER),
        status=reply.status,
        phrase=escape(HTTPStatus(reply.status).phrase),
        code=escape(code),
        reload=_RELOAD if starting and again else "",
    )
    return text.encode("utf-8", "replace")
