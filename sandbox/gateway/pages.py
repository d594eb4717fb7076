"""Error responses on previews: a small page for a browser's navigation, JSON otherwise (contract section 1)."""

from __future__ import annotations

from html import escape
from http import HTTPStatus

import attrs
from twisted.python.failure import Failure

from sandbox.http.replies import Reply, reply_to
from sandbox.http.request import Request
from sandbox.net.log_context import on_behalf_of

HTML = b"text/html; charset=utf-8"
_SAFE = {b"GET", b"HEAD"}

#: Header fields of every HTML page that the gateway makes.
# The CSP blocks scripts, styles and images of other origins. It has no frame-ancestors: previews may be embedded.
PAGE_FIELDS = (
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'"),
    (b"vary", b"accept, sec-fetch-mode"),
    (b"x-content-type-options", b"nosniff"),
)

#: Title and advice of each error's page, by code. They avoid terms such as session and container, which visitors do not
#: know. The contract's message is below in small print, for support.
_WORDS = {
    "PREVIEW_NOT_REGISTERED": (
        "Nothing is shown at this address yet",
        "If the preview is yours, start its application and register the port. Else ask the person who sent you here.",
    ),
    "PREVIEW_UNREACHABLE": (
        "The preview is starting",
        "The application is not answering yet. This page reloads itself until it does.",
    ),
    "PREVIEW_BAD_ANSWER": (
        "The application does not answer with a web page",
        "Reloading is unlikely to help. Tell the person who runs the application: its port does not speak HTTP.",
    ),
    "PREVIEW_TIMEOUT": (
        "The application takes too long",
        "It received your request and has not answered. Try again in a moment, or tell the person who runs it.",
    ),
    "PREVIEW_REFUSED": ("This preview cannot be shown", "Ask the person who sent you here for another address."),
    "CONTAINER_NOT_RUNNING": (
        "The preview is stopped",
        "If it is yours, start its session, then reload this page. Else ask the person who sent you here to start it.",
    ),
    "CONTAINER_PAUSED": (
        "The preview is paused",
        "If it is yours, start its session, then reload this page. Else ask the person who sent you here to start it.",
    ),
    "CONTAINER_NOT_FOUND": (
        "The preview is gone",
        "What it showed was removed. Ask the person who sent you here for a new address.",
    ),
    "CONTAINER_NO_ADDRESS": (
        "The preview cannot be reached",
        "It has no network. If it is yours, stop and start its session. Else tell the person who sent you here.",
    ),
    "TOKEN_MISSING": (
        "You need a link to see this preview",
        "Open it from where you work on it, or by the link that you were sent: all of it, up to its last character.",
    ),
    "TOKEN_INVALID": (
        "This link does not work",
        "It may have been revoked, or be incomplete. Ask the person who sent it for a new one.",
    ),
    "TOKEN_EXPIRED": ("This link has expired", "Ask the person who sent it for a new one."),
    "ACCESS_DENIED": (
        "This preview is private",
        "You do not have access to it. Ask the person who sent you here for a link.",
    ),
    "CROSS_ORIGIN": (
        "Another page asked for this",
        "Open the preview itself, by its own address, then try again there.",
    ),
    "NOT_FOUND": ("There is nothing here", "Check the address, or ask the person who gave it to you."),
    "TOO_MANY_PREVIEW_CONNECTIONS": (
        "The preview is busy",
        "Too many people or pages use it at once. Try again in a moment.",
    ),
}
_OWN_FAULT = ("Something went wrong", "It is not your fault. Try again in a moment.")
_UNAVAILABLE = ("The service is not available right now", "Try again in a moment.")
_REFUSED = ("This cannot be shown", "Check the address, or ask the person who gave it to you.")
_LATER = "Try again in a moment."

# Reloads after 1, 2, 4 and then every 8 seconds. The count is kept in the history's state, which survives a reload; the
# URL's fragment belongs to the application.
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
<main><h1>{title}</h1><p>{advice}</p><small>{message} &middot; {status} {phrase} &middot; {code}</small></main>
</html>
"""


def wants_page(request: Request) -> bool:
    """Whether the request is a browser's navigation, a submitted form included: by Sec-Fetch-Mode, or by Accept for
    browsers that do not send it."""
    mode = request.known.get(b"sec-fetch-mode")
    if mode is not None:
        return mode == b"navigate"
    return request.method in _SAFE and b"text/html" in request.known.get(b"accept", b"").lower()


def respond_error(request: Request, failure: Failure) -> None:
    """Send the response of an error; no-op when the client has disconnected."""
    with on_behalf_of(request.id, request.session_id):
        reply = reply_to(failure)
    if not request.gone:
        respond(request, reply)


def respond(request: Request, reply: Reply) -> None:
    """Send an error reply, as a page to a navigating browser and as JSON otherwise."""
    if wants_page(request):
        with_fields = attrs.evolve(reply, headers=reply.headers + PAGE_FIELDS)
        request.respond(with_fields, page(reply, again=request.method in _SAFE), HTML)
    else:
        request.respond(attrs.evolve(reply, headers=(*reply.headers, (b"cache-control", b"no-store"))))


def words(status: int, code: str) -> tuple[str, str]:
    """Title and advice of an error's page."""
    if code in _WORDS:
        return _WORDS[code]
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return _UNAVAILABLE
    return _OWN_FAULT if status >= 500 else _REFUSED


def page(reply: Reply, again: bool = True) -> bytes:
    """The HTML page of an error reply. Every value is escaped: the message may contain untrusted text.

    :param again: whether the page may reload itself; not after a form, which would be sent twice.
    """
    payload = reply.payload if isinstance(reply.payload, dict) else {}
    code, message = reply.error, str(payload.get("message", ""))
    starting = code == "PREVIEW_UNREACHABLE"
    title, advice = words(reply.status, code)
    text = _PAGE.format(
        title=escape(title),
        advice=escape(_LATER if starting and not again else advice),
        message=escape(f"{message} ({payload['incident']})" if "incident" in payload else message),
        status=reply.status,
        phrase=escape(HTTPStatus(reply.status).phrase),
        code=escape(code),
        reload=_RELOAD if starting and again else "",
    )
    return text.encode("utf-8", "replace")
