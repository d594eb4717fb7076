"""Access control at the gateway's door (contract section 6): what a request presents, and what of it goes on."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ISSLTransport

from sandbox.errors import CrossOriginDenied, PreviewNotRegistered
from sandbox.gateway.doors import Passage, Verdict
from sandbox.gateway.resource import wants_websocket
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.operations.access import Access, Grant
from sandbox.operations.authorities import Authority
from sandbox.operations.previews import Previews
from sandbox.policy.access import (
    BEARER_PROTOCOL,
    PROTOCOL_FIELD,
    Credential,
    Mode,
    Place,
    cleaned,
    foreign,
    mode_of,
    presented,
    redirect_location,
    without_tokens,
)
from sandbox.policy.cookies import Scope, set_cookie
from sandbox.policy.grammar import Fields
from sandbox.policy.headers import Origin, TrustedProxies, public_host

#: Nothing of a URL that carries a token is kept or told on.
_LEAVE_NO_TRACE = ((b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"))


def registered_mode(previews: Previews, enforced: bool) -> Callable[[str], Mode]:
    """Who may see a session's preview: what its registration says, else what the environment says."""

    def mode(session_id: str) -> Mode:
        try:
            access = previews.preview(session_id).access
        except PreviewNotRegistered:
            access = None
        return mode_of(access, enforced)

    return mode


class PreviewAccess:
    """Grants a passage, sends a browser on without its token, or refuses: a :class:`sandbox.gateway.doors.Authorize`.

    :param mode: who may see a session's preview.
    :param public_url: the daemon's own origin as browsers reach it.
    :param trusted: the peers whose word on how a browser came is taken.
    """

    def __init__(
        self, access: Access, mode: Callable[[str], Mode], *, public_url: str, trusted: TrustedProxies
    ) -> None:
        scheme, _, authority = public_url.lower().encode("ascii").partition(b"://")
        self._access = access
        self._mode = mode
        self._https = scheme == b"https"
        self._public = authority
        self._trusted = trusted

    def __call__(self, request: Request, session_id: str, prefix: bytes) -> Verdict | Deferred[Verdict]:
        """See :class:`sandbox.gateway.doors.Authorize`.

        :raises SandboxError: as :meth:`sandbox.operations.access.Access.admit` does, and ``CrossOriginDenied``.
        """
        mode = self._mode(session_id)
        scope = Scope(prefix.decode("ascii") or "/", self._is_secure(request))
        credentials = presented(request.headers, request.uri, scope)
        if mode is not Mode.PUBLIC:
            credentials = self._without_borrowed_cookies(request, credentials)
        grant = self._access.admit(session_id, mode, credentials)
        if isinstance(grant, Deferred):
            return grant.addCallback(lambda found: self._pass(request, session_id, scope, credentials, found))
        return self._pass(request, session_id, scope, credentials, grant)

    def _without_borrowed_cookies(self, request: Request, credentials: list[Credential]) -> list[Credential]:
        """Leave cookies out that another site's or another preview's page made the browser send."""
        own = [credential for credential in credentials if credential.place is not Place.COOKIE]
        if len(own) == len(credentials):
            return credentials
        hosts = {self._public, self._host(request)}
        if not foreign(request.method, request.headers, hosts):
            return credentials
        if not own:
            raise CrossOriginDenied
        return own

    def _pass(
        self, request: Request, session_id: str, scope: Scope, credentials: list[Credential], grant: Grant
    ) -> Verdict:
        by_url = any(found.place is Place.QUERY and found.text in grant.consumed for found in credentials)
        upgrade = wants_websocket(request)
        if by_url and request.method in {b"GET", b"HEAD"} and not upgrade:
            return self._send_on(request, session_id, scope, grant)
        fields, target = cleaned(request.headers, request.uri, grant.consumed, grant.user_id)
        answered: Fields = []
        place = grant.credential.place if grant.credential is not None else None
        if place is Place.COOKIE and not upgrade:
            answered = self._cookie(session_id, scope, grant)
        elif place is Place.PROTOCOL and not any(name.lower() == PROTOCOL_FIELD for name, _ in fields):
            # A browser that offered a protocol wants one chosen, and the application was offered none.
            answered = [(b"Sec-WebSocket-Protocol", BEARER_PROTOCOL)]
        if grant.authority is not None:
            self._lean(request, grant.authority)
        return Passage(fields=fields, target=target, response_fields=answered, authority=grant.authority)

    def _send_on(self, request: Request, session_id: str, scope: Scope, grant: Grant) -> Reply:
        """Exchange the token in the URL for a cookie, and send the browser to the URL without it."""
        fields = [(b"location", redirect_location(without_tokens(request.uri, grant.consumed))), *_LEAVE_NO_TRACE]
        if grant.credential is not None and grant.credential.place is Place.QUERY:
            fields += self._cookie(session_id, scope, grant)
        if grant.authority is not None:
            grant.authority.release()
        return Reply(303, None, tuple(fields))

    def _cookie(self, session_id: str, scope: Scope, grant: Grant) -> Fields:
        made = self._access.cookie_for(session_id, grant.holder) if grant.holder is not None else None
        return [] if made is None else [(b"Set-Cookie", set_cookie(scope, *made))]

    def _lean(self, request: Request, authority: Authority) -> None:
        """Break the exchange off when its authority ends. Whoever upgrades it leans on it anew."""
        authority.on_end(lambda: request.abort(reset=True))
        request.notifyFinish().addBoth(lambda _: authority.release())

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser came by https, as far as we can tell."""
        channel = request.channel
        if self._https or ISSLTransport.providedBy(channel.transport):
            return True
        if not self._trusted.trusts(channel.peer):
            return False
        said = [value for name, value in request.headers if name.lower() == b"x-forwarded-proto"]
        return bool(said) and said[0].partition(b",")[0].strip(b" \t").lower() == b"https"

    def _host(self, request: Request) -> bytes:
        peer = request.channel.peer
        host = request.known.get(b"host", b"")
        origin = Origin(peer=peer, trusted=self._trusted.trusts(peer), host=host)
        return public_host(request.headers, origin).lower()
