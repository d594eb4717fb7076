"""Who may see a preview now: tokens, owners and links, each asked for once and remembered for a while."""

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

#: Seconds that a token which names no end opens a preview for, once it is exchanged for a cookie.
LONGEST = 86_400


class Keys:
    """Everything that verifies or signs, each with a key of its own.

    :param jwt_secrets: the platform's secrets, newest first; where there is none, no JWT is genuine.
    :param spare: what links and cookies are signed with where there is none: random, so that they end with the daemon,
        as registrations do.
    :raises ValueError: for a secret that is a public key.
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
    """That a request may pass.

    :ivar user_id: whom to name to the application, if anybody.
    :ivar holder: whose credential it was; ``None`` where everybody may see.
    :ivar credential: what was accepted.
    :ivar consumed: the texts of the request's tokens that are ours, accepted or not: none may reach the container.
    :ivar authorization: what the request leans on; ``None`` where everybody may see.
    :ivar until: the clock's time up to which what is remembered of owner and link holds.
    :ivar ends: the wall clock's time at which the credential ends, or its cookie is due.
    :ivar epoch: what has changed before; see :meth:`Access.holds`.
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
    """Grants and refuses (contract section 6).

    What follows from remembered answers holds until these are too old, also while the database is away. What would need
    the database then is refused with ``AccessUnavailable``: the door stays shut.

    :param leeway: seconds by which the platform's clock may differ from ours.
    :param keep: seconds that an owner or a link is remembered.
    :param keep_nothing: seconds that it is remembered that there is none.
    :param cookie_lifetime: seconds that a cookie lasts unless it is used.
    :param limit: how many tokens, cookies, owners and links are remembered, each.
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
        # By session and link: a token is bound to both.
        self._links: ReadThroughCache[tuple[str, str], Link] = ReadThroughCache(
            clock,
            lambda key: store.read("get_link", lambda tx: tx.links.get(key[1])),
            keep=keep,
            keep_nothing=keep_nothing,
            limit=limit,
        )
        self._authorizations = Authorizations(now)

    def admit(self, session_id: str, mode: Mode, credentials: Sequence[Credential]) -> Grant | Deferred[Grant]:
        """Admit a request, at once when all that it takes is remembered.

        The first credential that is good counts. When none is, the first one's refusal is the answer.

        :raises TokenRejected: when nothing is presented, or nothing that is valid now.
        :raises AccessDenied: when it is valid, but not for this session.
        :raises AccessUnavailable: when the database does not answer.
        """
        if mode is Mode.PUBLIC:
            # Nobody is asked, and still the platform's tokens are not for the container to see.
            ours = [credential.text for credential in credentials if self._read(session_id, credential) is not None]
            return Grant(consumed=ours, epoch=self._epoch)
        try:
            return self._decide(session_id, mode, credentials)
        except CacheMiss as unknown:
            return Deferred.fromCoroutine(self._decide_later(unknown, session_id, mode, credentials))

    def holds(self, grant: Grant) -> bool:
        """Whether the same credentials would get the same grant again. It may be used again then, by any number."""
        return grant.epoch == self._epoch and self._seconds() < grant.until and self._now() < grant.ends

    def cookie_for(self, session_id: str, holder: Holder) -> tuple[str, int] | None:
        """The cookie to hand to a holder's browser, and its lifetime in seconds; ``None`` while it has a good one."""
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
        """The token that a link's URL carries."""
        return write_link(self._keys.links, LinkToken(link.session_id, link.id, int(link.expires_at.timestamp())))

    def session_changed(self, session_id: str) -> None:
        """Forget all about a session, and end all that was let into its preview: it was just made, or deleted."""
        self._epoch += 1
        self._owners.forget(session_id)
        self._links.forget_where(lambda key: key[0] == session_id)
        self._authorizations.end_session(session_id)

    def link_revoked(self, session_id: str, link_id: str) -> None:
        """Forget a link, and end all that it let in."""
        self._epoch += 1
        self._links.forget((session_id, link_id))
        self._authorizations.end_link(session_id, link_id)

    def use_secrets(self, secrets: Sequence[bytes]) -> None:
        """Verify and sign with other secrets of the platform's from now on."""
        self.use_keys(Keys(secrets, self._keys.spare))

    def use_keys(self, keys: Keys) -> None:
        """Verify and sign with other keys from now on; what an old secret let in ends when that is not among them."""
        dropped = self._keys.secrets - keys.secrets
        self._keys = keys
        self._epoch += 1
        self._tokens.clear()
        self._cookies.clear()
        if dropped:
            # Which of them let in whom is not remembered. Those who still may come back.
            self._authorizations.end_all()

    def end_expired(self) -> None:
        """End all that was let in by what is over by now; to be called every :data:`~.authorizations.LOOK` seconds."""
        self._authorizations.end_expired()

    def _decide(self, session_id: str, mode: Mode, credentials: Sequence[Credential]) -> Grant:
        """:raises CacheMiss: when an answer is not at hand."""
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
        """Whom a credential speaks for, or why it does not any more; ``None`` when it is none of ours."""
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
        """Seconds until an answer that a holder was admitted by is too old."""
        times = [] if holder.link_id is None else [self._links.left((session_id, holder.link_id))]
        if holder.link_id is None or mode is Mode.OWNER:
            times.append(self._owners.left(session_id))
        return min(times)

    def _steady_until(self, holder: Holder) -> float:
        """When a holder is treated otherwise than now, by the wall clock: it ends, or its cookie is due."""
        times = [math.inf if holder.ends is None else holder.ends]
        if holder.cookie is not None:
            last = holder.cookie.expires == holder.cookie.ends
            times.append(holder.cookie.expires - (0 if last else self._cookie_lifetime / 2))
        return min(times)

    def _is_fresh(self, cookie: SessionCookie, now: int) -> bool:
        return (cookie.expires - now) * 2 > self._cookie_lifetime
