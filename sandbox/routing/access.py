"""Access control of previews: verifies tokens, and caches owners and links for a limited time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import time

import attrs
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from sandbox.domain.errors import (
    AccessDenied,
    AccessUnavailable,
    Overloaded,
    SandboxError,
    StoreUnavailable,
    TokenRejected,
)
from sandbox.domain.model import Link
from sandbox.net.read_through_cache import CacheMiss, ReadThroughCache
from sandbox.policy.access import Credential, Holder, Mode, Place, admit_link, admit_user
from sandbox.policy.cookies import SessionCookie, read_cookie, write_cookie
from sandbox.policy.links import LinkToken, read_link, write_link
from sandbox.policy.signing import Purpose, Signer
from sandbox.policy.tokens import Claims, Verifier, expired, invalid, judge, missing
from sandbox.routing.authorizations import Authorization, Authorizations
from sandbox.routing.verified_tokens import VerifiedTokenCache
from sandbox.stores.interface import IStore

#: Lifetime in seconds of a cookie's authorization when the exchanged token has no expiry.
LONGEST = 86_400


class Keys:
    """The verifier of tokens and the signers of links and cookies, each with its own derived key.

    :param jwt_secrets: the platform's secrets, newest first; without any, no JWT is genuine.
    :param spare: signs links and cookies when there is no secret: random, so that they end with the daemon, as
        registrations do.
    :raises ValueError: when a secret is a public key.
    """

    def __init__(self, jwt_secrets: Sequence[bytes], spare: bytes) -> None:
        secrets = tuple(jwt_secrets) or (spare,)
        self.spare = spare
        self.secrets = frozenset(secrets)
        self.tokens = Verifier(jwt_secrets)
        self.links = Signer(secrets, Purpose.LINK)
        self.cookies = Signer(secrets, Purpose.COOKIE)


@attrs.define(kw_only=True)
class Grant:
    """The permission for a request.

    :ivar user_id: the user id to forward to the application, if any.
    :ivar holder: the holder of the accepted credential; ``None`` on a public preview.
    :ivar credential: the accepted credential.
    :ivar consumed: the platform's tokens in the request, accepted or not: none may reach the container.
    :ivar authorization: the authorization to attach the request to; ``None`` on a public preview.
    :ivar until: the clock's time at which the cached owner or link expires.
    :ivar ends: the wall clock's time at which the credential expires or its cookie is due for renewal.
    :ivar epoch: the number of invalidations before; see :meth:`Access.holds`.
    """

    user_id: str | None = None
    holder: Holder | None = None
    credential: Credential | None = None
    consumed: Sequence[bytes] = ()
    authorization: Authorization | None = None
    until: float = math.inf
    ends: float = math.inf
    epoch: int = 0


class Access:
    """Admits or refuses requests to previews (contract section 6).

    Cached entries are valid until they expire, even while the database is unavailable. A cache miss during that time is
    refused with ``AccessUnavailable``: access control fails closed.

    :param leeway: tolerated clock skew of the platform, in seconds.
    :param keep: seconds for which an owner or a link is cached.
    :param keep_nothing: seconds for which its absence is cached.
    :param cookie_lifetime: lifetime in seconds of a cookie that is not renewed.
    :param limit: maximum number of cached tokens, cookies, owners and links, each.
    :param now: the wall clock, in seconds since the epoch.
    """

    def __init__(
        self,
        clock: IReactorTime,
        store: IStore,
        keys: Keys,
        *,
        leeway: float = 0,
        keep: float = 30,
        keep_nothing: float = 2,
        cookie_lifetime: int = 1800,
        limit: int = 10_000,
        now: Callable[[], float] = time,
    ) -> None:
        self._seconds = clock.seconds
        self._epoch = 0
        self._keys = keys
        self._leeway = leeway
        self._cookie_lifetime = cookie_lifetime
        self._now = now
        self._tokens = VerifiedTokenCache(self._token_holder, limit)
        self._cookies = VerifiedTokenCache(self._cookie_holder, limit)
        self._owners: ReadThroughCache[str, str] = ReadThroughCache(
            clock,
            lambda session_id: store.read("owner", lambda tx: tx.sessions.owner(session_id)),
            keep=keep,
            keep_nothing=keep_nothing,
            limit=limit,
        )
        # Keyed by session and link: a token is bound to both.
        self._links: ReadThroughCache[tuple[str, str], Link] = ReadThroughCache(
            clock,
            lambda key: store.read("get_link", lambda tx: tx.links.get(key[1])),
            keep=keep,
            keep_nothing=keep_nothing,
            limit=limit,
        )
        self._authorizations = Authorizations(now)

    def admit(self, session_id: str, mode: Mode, credentials: Sequence[Credential]) -> Grant | Deferred[Grant]:
        """Admit a request; synchronously when everything needed is cached.

        The first valid credential counts. When there is none, the first credential's refusal is raised.

        :raises TokenRejected: when the request has no credential, or none that is valid now.
        :raises AccessDenied: when the credential is valid, but not for this session.
        :raises AccessUnavailable: when the database is unavailable.
        """
        if mode is Mode.PUBLIC:
            # No credential is required, but the platform's tokens must not reach the container.
            ours = [credential.text for credential in credentials if self._read(session_id, credential) is not None]
            return Grant(consumed=ours, epoch=self._epoch)
        try:
            return self._decide(session_id, mode, credentials)
        except CacheMiss as unknown:
            return Deferred.fromCoroutine(self._decide_later(unknown, session_id, mode, credentials))

    def holds(self, grant: Grant) -> bool:
        """Whether the same credentials would get the same grant again, so that requests may share it."""
        return grant.epoch == self._epoch and self._seconds() < grant.until and self._now() < grant.ends

    def cookie_for(self, session_id: str, holder: Holder) -> tuple[str, int] | None:
        """A new cookie for a holder, and its lifetime in seconds; ``None`` while the present one is fresh."""
        now = int(self._now())
        ends = int(min(holder.ends if holder.ends is not None else now + LONGEST, now + LONGEST))
        expires = min(now + self._cookie_lifetime, ends)
        old = holder.cookie
        if expires <= now or (old is not None and (old.expires >= expires or self._is_fresh(old, now))):
            return None
        cookie = SessionCookie(
            session_id=session_id, link_id=holder.link_id, user_id=holder.user_id, expires=expires, ends=ends
        )
        return write_cookie(self._keys.cookies, cookie), expires - now

    def link_token(self, link: Link) -> str:
        """The token in a link's URL."""
        return write_link(self._keys.links, LinkToken(link.session_id, link.id, int(link.expires_at.timestamp())))

    def session_changed(self, session_id: str) -> None:
        """A session was created or deleted: invalidate its cache entries and end its authorizations."""
        self._epoch += 1
        self._owners.forget(session_id)
        self._links.forget_where(lambda key: key[0] == session_id)
        self._authorizations.end_session(session_id)

    def link_revoked(self, session_id: str, link_id: str) -> None:
        """A link was revoked: invalidate its cache entry and end its authorizations."""
        self._epoch += 1
        self._links.forget((session_id, link_id))
        self._authorizations.end_link(session_id, link_id)

    def use_secrets(self, secrets: Sequence[bytes]) -> None:
        """Replace the platform's secrets."""
        self.use_keys(Keys(secrets, self._keys.spare))

    def use_keys(self, keys: Keys) -> None:
        """Replace the keys. When a secret is dropped, every authorization ends."""
        dropped = self._keys.secrets - keys.secrets
        self._keys = keys
        self._epoch += 1
        self._tokens.clear()
        self._cookies.clear()
        if dropped:
            # The secret behind an authorization is not recorded. Clients with a valid credential reconnect.
            self._authorizations.end_all()

    def end_expired(self) -> None:
        """End the authorizations that have expired; to be called every :data:`~.authorizations.LOOK` seconds."""
        self._authorizations.end_expired()

    def _decide(self, session_id: str, mode: Mode, credentials: Sequence[Credential]) -> Grant:
        """:raises CacheMiss: when an owner or a link is not cached."""
        grant = Grant(epoch=self._epoch)
        consumed: list[bytes] = []
        refusal: SandboxError | None = None
        for credential in credentials:
            reading = self._read(session_id, credential)
            if reading is not None:
                consumed.append(credential.text)
            if isinstance(reading, Holder) and grant.holder is None:
                try:
                    grant.user_id = self._permit(session_id, mode, reading)
                    grant.holder, grant.credential = reading, credential
                    continue
                except (TokenRejected, AccessDenied) as error:
                    refusal = refusal or error
            elif refusal is None:
                refusal = reading if isinstance(reading, SandboxError) else invalid()
        if grant.holder is None:
            raise refusal or missing()
        grant.consumed = consumed
        grant.authorization = self._authorizations.make(session_id, grant.holder.link_id, grant.holder.ends)
        grant.until = self._seconds() + self._kept(session_id, mode, grant.holder)
        grant.ends = self._steady_until(grant.holder)
        return grant

    async def _decide_later(
        self, unknown: CacheMiss, session_id: str, mode: Mode, credentials: Sequence[Credential]
    ) -> Grant:
        while True:
            try:
                await unknown.refresh()
            except (StoreUnavailable, Overloaded):
                raise AccessUnavailable from None
            try:
                return self._decide(session_id, mode, credentials)
            except CacheMiss as another:
                unknown = another

    def _read(self, session_id: str, credential: Credential) -> Holder | SandboxError | None:
        """The holder of a credential, or why it is refused; ``None`` when it is not one of the platform's."""
        if credential.place is Place.COOKIE:
            return self._read_cookie(session_id, credential)
        if credential.place is Place.QUERY and (link := read_link(self._keys.links, credential.text)) is not None:
            if link.session_id != session_id:
                return AccessDenied()
            return Holder(link_id=link.link_id, ends=link.expires) if link.expires > self._now() else expired()
        found = self._tokens.read(credential)
        if found is None:
            return None
        claims, holder = found
        try:
            judge(claims, self._now(), self._leeway)
        except TokenRejected as error:
            return error
        return holder

    def _read_cookie(self, session_id: str, credential: Credential) -> Holder | SandboxError | None:
        found = self._cookies.read(credential)
        if found is None:
            return None
        cookie, holder = found
        if cookie.session_id != session_id:
            return AccessDenied()
        return holder if cookie.expires > self._now() else expired()

    def _token_holder(self, text: bytes) -> tuple[Claims, Holder] | None:
        claims = self._keys.tokens.read(text)
        if claims is None:
            return None
        ends = None if claims.expires is None else claims.expires + self._leeway
        return claims, Holder(user_id=claims.user_id, ends=ends)

    def _cookie_holder(self, text: bytes) -> tuple[SessionCookie, Holder] | None:
        cookie = read_cookie(self._keys.cookies, text)
        if cookie is None:
            return None
        return cookie, Holder(user_id=cookie.user_id, link_id=cookie.link_id, ends=cookie.ends, cookie=cookie)

    def _permit(self, session_id: str, mode: Mode, holder: Holder) -> str | None:
        if holder.link_id is None:
            return admit_user(holder.user_id or "", self._owners.get(session_id))
        link = self._links.get((session_id, holder.link_id))
        owner = self._owners.get(session_id) if mode is Mode.OWNER else None
        return admit_link(mode, session_id, link, owner, self._now())

    def _kept(self, session_id: str, mode: Mode, holder: Holder) -> float:
        """Seconds until the cache entry expires by which a holder was admitted."""
        times = [] if holder.link_id is None else [self._links.left((session_id, holder.link_id))]
        if holder.link_id is None or mode is Mode.OWNER:
            times.append(self._owners.left(session_id))
        return min(times)

    def _steady_until(self, holder: Holder) -> float:
        """The wall clock's time until which the decision on a holder is stable: its end, or its cookie's renewal."""
        times = [math.inf if holder.ends is None else holder.ends]
        if holder.cookie is not None:
            last = holder.cookie.expires == holder.cookie.ends
            times.append(holder.cookie.expires - (0 if last else self._cookie_lifetime / 2))
        return min(times)

    def _is_fresh(self, cookie: SessionCookie, now: int) -> bool:
        return (cookie.expires - now) * 2 > self._cookie_lifetime
