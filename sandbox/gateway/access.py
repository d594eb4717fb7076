"""Access control of the gateway (contract section 6): reads a request's credentials and removes them upstream."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import lru_cache, partial
from typing import NamedTuple

from twisted.internet.defer import Deferred

from sandbox.domain.errors import CrossOriginDenied, PreviewNotRegistered
from sandbox.gateway.interfaces import AccessDecision, Admitted
from sandbox.gateway.resource import wants_websocket
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.net.log_context import on_behalf_of
from sandbox.policy.access import (
    BEARER_PROTOCOL,
    PARAMETER,
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
    speaks_for_itself,
    user_field,
    with_query,
    without_tokens,
)
from sandbox.policy.cookies import Scope, set_cookie
from sandbox.protocols.http1.forwarding import source_of
from sandbox.protocols.http1.grammar import Fields, memorable, read_section
from sandbox.protocols.http1.headers import TrustedProxies
from sandbox.protocols.http1.origins import canonical_authority, canonical_origin
from sandbox.routing.access import Access, Grant
from sandbox.routing.authorizations import Authorization
from sandbox.routing.previews import Previews

Credentials = tuple[Credential, ...]

#: A URL that carries a token is neither cached nor sent on as a Referer.
_LEAVE_NO_TRACE = ((b"cache-control", b"no-store"), (b"referrer-policy", b"no-referrer"))


def registered_mode(previews: Previews, enforced: bool) -> Callable[[str], Mode]:
    """Look up a preview's access mode: the registration's, else the default of the environment."""

    def mode(session_id: str) -> Mode:
        try:
            access = previews.preview(session_id).access
        except PreviewNotRegistered:
            access = None
        return mode_of(access, enforced)

    return mode


class _Visit(NamedTuple):
    """The preview that a request addresses, its access mode and the scope of its cookie."""

    session_id: str
    prefix: bytes
    mode: Mode
    scope: Scope


class _Known(NamedTuple):
    """Cache entry: the decision on a request, reused for requests with the same fields.

    :ivar secure: whether the browser came by https; ``None`` where the decision does not depend on it.
    """

    mode: Mode
    secure: bool | None
    grant: Grant
    passage: Admitted


class PreviewAccess:
    """Admits a request, redirects a browser to the URL without its token, or refuses; an ``Authorize``.

    Clients repeat the same field section. The grant for a section is cached while it is valid, so that repeated
    requests skip the parsing.

    :param mode: returns the access mode of a session's preview.
    :param public_url: the daemon's own origin as browsers reach it.
    :param trusted: the proxies whose forwarding fields are believed.
    :param remembered: maximum number of cached grants.
    """

    def __init__(
        self,
        access: Access,
        mode: Callable[[str], Mode],
        *,
        public_url: str,
        trusted: TrustedProxies,
        remembered: int = 1024,
    ) -> None:
        self._access = access
        self._mode = mode
        self._public_origin = canonical_origin(public_url.encode("ascii"))
        self._https = self._public_origin.startswith(b"https:")
        self._trusted = trusted
        self._remembered = remembered
        self._known: OrderedDict[tuple[bytes, str, bytes], _Known] = OrderedDict()

    def __call__(self, request: Request, session_id: str, prefix: bytes) -> AccessDecision | Deferred[AccessDecision]:
        """See :class:`sandbox.gateway.interfaces.Authorize`.

        :raises SandboxError: as :meth:`sandbox.routing.access.Access.admit` does, and ``CrossOriginDenied``.
        """
        mode = self._mode(session_id)
        known = self._known.get((request.section, session_id, prefix))
        if known is not None and self._holds(request, mode, known):
            self._lean(request, known.passage.authorization)
            return known.passage
        visit = _Visit(session_id, prefix, mode, _scope(prefix, self._is_secure(request)))
        seen = presented(request.section, visit.scope.name)
        credentials = with_query(seen.credentials, request.uri)
        if mode is not Mode.PUBLIC and any(found.place is Place.COOKIE for found in credentials):
            credentials = self._without_borrowed_cookies(request, visit, seen, credentials)
        # A cache miss reads the store, which logs its failures.
        with on_behalf_of(request.id, session_id):
            grant = self._access.admit(session_id, mode, credentials)
        if isinstance(grant, Deferred):
            return grant.addCallback(lambda found: self._granted(request, visit, seen, credentials, found))
        return self._granted(request, visit, seen, credentials, grant)

    def _holds(self, request: Request, mode: Mode, known: _Known) -> bool:
        return (
            known.mode is mode
            and self._access.holds(known.grant)
            and PARAMETER not in request.uri
            # A parameter with an escaped name is no credential, but must not reach the application either.
            and not (known.grant.consumed and b"%" in request.uri)
            and (known.secure is None or known.secure is self._is_secure(request))
        )

    def _without_borrowed_cookies(
        self, request: Request, visit: _Visit, seen: Presented, credentials: Credentials
    ) -> Credentials:
        """Drop the cookies of a request that a page of another site or another preview caused."""
        if not foreign(request.method, seen, self._own_origins(request, visit)):
            return credentials
        own = tuple(found for found in credentials if found.place is not Place.COOKIE)
        if not own:
            raise CrossOriginDenied
        return own

    def _granted(
        self, request: Request, visit: _Visit, seen: Presented, credentials: Credentials, grant: Grant
    ) -> AccessDecision:
        upgrade = wants_websocket(request)
        by_url = any(found.place is Place.QUERY and found.text in grant.consumed for found in credentials)
        if by_url and request.method in {b"GET", b"HEAD"} and not upgrade:
            return self._send_on(request, visit, grant)
        section = cleaned(request.section, grant.consumed)
        told = [] if grant.user_id is None else [user_field(grant.user_id)]
        place = None if grant.credential is None else grant.credential.place
        answered: Fields = []
        if place is Place.COOKIE and not upgrade:
            answered = self._cookie(visit, grant)
        elif place is Place.PROTOCOL and not _offers_protocol(section):
            # A browser that offered subprotocols requires one in the response; the application was offered none.
            answered = [(b"Sec-WebSocket-Protocol", BEARER_PROTOCOL)]
        passage = Admitted(section, None, told, answered, grant.authorization)
        if not answered and not upgrade:
            self._remember(request, visit, seen, _Known(visit.mode, None, grant, passage))
        self._lean(request, grant.authorization)
        target = without_tokens(request.uri, grant.consumed)
        return passage if target == request.uri else passage._replace(target=target)

    def _remember(self, request: Request, visit: _Visit, seen: Presented, known: _Known) -> None:
        """Cache a grant that depends on the fields only."""
        if not memorable(request.section) or PARAMETER in request.uri:
            return
        if known.grant.credential is not None and known.grant.credential.place is Place.COOKIE:
            if not speaks_for_itself(seen):
                return
            known = known._replace(secure=visit.scope.secure)
        self._known[request.section, visit.session_id, visit.prefix] = known
        if len(self._known) > self._remembered:
            self._known.popitem(last=False)

    def _lean(self, request: Request, authorization: Authorization | None) -> None:
        """Abort a request when its authorization ends first.

        A request ends when it becomes a WebSocket; the WebSocket attaches itself to the authorization.
        """
        if authorization is not None:
            end = partial(request.abort, True)
            authorization.attach(end)
            request.on_over = partial(authorization.detach, end)

    def _send_on(self, request: Request, visit: _Visit, grant: Grant) -> Reply:
        """Exchange the token in the URL for a cookie, and redirect the browser to the URL without the token."""
        fields = [(b"location", redirect_location(without_tokens(request.uri, grant.consumed))), *_LEAVE_NO_TRACE]
        if grant.credential is not None and grant.credential.place is Place.QUERY:
            fields += self._cookie(visit, grant)
        return Reply(303, None, tuple(fields))

    def _cookie(self, visit: _Visit, grant: Grant) -> Fields:
        made = self._access.cookie_for(visit.session_id, grant.holder) if grant.holder is not None else None
        return [] if made is None else [(b"Set-Cookie", set_cookie(visit.scope, *made))]

    def _is_secure(self, request: Request) -> bool:
        """Whether the browser came by https: by ``PUBLIC_URL``, a trusted proxy's fields, or the listener."""
        if self._https:
            return True
        if not self._trusted.trusts(request.peer):
            return request.secure
        return source_of(request.section, request.peer, True, request.secure).scheme == b"https"

    def _own_origins(self, request: Request, visit: _Visit) -> set[bytes]:
        """The origins of the preview's own pages, for the form of address that the request uses.

        The path form also has the daemon's public origin, since a proxy in front may not preserve the Host.
        """
        source = source_of(request.section, request.peer, self._trusted.trusts(request.peer), request.secure)
        scheme = b"https" if visit.scope.secure else b"http"
        own = {scheme + b"://" + canonical_authority(scheme, source.authority)}
        if visit.prefix:
            own.add(self._public_origin)
        return own


@lru_cache(1024)
def _scope(prefix: bytes, secure: bool) -> Scope:
    return Scope(prefix.decode("ascii") or "/", secure)


def _offers_protocol(section: bytes) -> bool:
    return any(field.lower == PROTOCOL_FIELD for field in read_section(section)[0])
