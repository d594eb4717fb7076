"""Access control at the gateway's door (contract section 6): what a request presents, and what of it goes on."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

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
    Presented,
    cleaned,
    foreign,
    mode_of,
    presented,
    redirect_location,
    user_field,
    with_query,
    without_tokens,
)
from sandbox.policy.cookies import Scope, set_cookie
from sandbox.policy.grammar import Fields, read_section
from sandbox.policy.headers import Origin, TrustedProxies, public_host

Credentials = tuple[Credential, ...]

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
        scope = _scope(prefix, self._is_secure(request))
        seen = presented(request.section, scope.name)
        credentials = with_query(seen.credentials, request.uri)
        if mode is Mode.PUBLIC:
            if not credentials and cleaned(request.section, ()) is request.section:
                return None
        elif any(found.place is Place.COOKIE for found in credentials):
            credentials = self._without_borrowed_cookies(request, seen, credentials)
        grant = self._access.admit(session_id, mode, credentials)
        if isinstance(grant, Deferred):
            return grant.addCallback(lambda found: self._pass(request, session_id, scope, credentials, found))
        return self._pass(request, session_id, scope, credentials, grant)

    def _without_borrowed_cookies(self, request: Request, seen: Presented, credentials: Credentials) -> Credentials:
        """Leave cookies out that another site's or another preview's page made the browser send."""
        if not foreign(request.method, seen, {self._public, self._host(request)}):
            return credentials
        own = tuple(found for found in credentials if found.place is not Place.COOKIE)
        if not own:
            raise CrossOriginDenied
        return own

    def _pass(self, request: Request, session_id: str, scope: Scope, credentials: Credentials, grant: Grant) -> Verdict:
        consumed = grant.consumed
        by_url = any(found.place is Place.QUERY and found.text in consumed for found in credentials)
        upgrade = wants_websocket(request)
        if by_url and request.method in {b"GET", b"HEAD"} and not upgrade:
            return self._send_on(request, session_id, scope, grant)
        section = cleaned(request.section, consumed)
        answered: Fields = []
        place = grant.credential.place if grant.credential is not None else None
        if place is Place.COOKIE and not upgrade:
            answered = self._cookie(session_id, scope, grant)
        elif place is Place.PROTOCOL and not any(
            name.lower() == PROTOCOL_FIELD for name, _ in read_section(section)[0]
        ):
            # A browser that offered a protocol wants one chosen, and the application was offered none.
            answered = [(b"Sec-WebSocket-Protocol", BEARER_PROTOCOL)]
        if grant.authority is not None:
            self._lean(request, grant.authority)
        return Passage(
            section=section,
            target=without_tokens(request.uri, consumed) if by_url else request.uri,
            told=[] if grant.user_id is None else [user_field(grant.user_id)],
            response_fields=answered,
            authority=grant.authority,
        )

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
        request.on_over = authority.release

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
        peer, host = request.channel.peer, request.known.get(b"host", b"")
        if not self._trusted.trusts(peer):
            return host
        return public_host(request.headers, Origin(peer=peer, trusted=True, host=host))


@lru_cache(1024)
def _scope(prefix: bytes, secure: bool) -> Scope:
    return Scope(prefix.decode("ascii") or "/", secure)
