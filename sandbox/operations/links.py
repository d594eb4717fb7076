"""Preview links: created by the platform, opened in a browser, revocable at any time."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from sandbox.domain.errors import PreviewNotRegistered
from sandbox.domain.events import LinkRevoked
from sandbox.domain.model import Link
from sandbox.domain.principals import Principal
from sandbox.events.bus import EventBus
from sandbox.policy.access import PARAMETER
from sandbox.protocols.hostnames import Addresses
from sandbox.routing.access import Access
from sandbox.routing.previews import Previews
from sandbox.stores.interface import IStore

_log = Logger()

#: Seconds between two removals of expired links.
SWEEP = 60.0


def _now() -> datetime:
    return datetime.now(UTC)


@attrs.frozen(kw_only=True)
class LinkAddresses:
    """A new link and the URLs that open the preview.

    :ivar url: the path form; equal to ``host_url`` where the path form is disabled.
    :ivar host_url: the host form; ``None`` while no port is registered, since the port is part of the host.
    """

    link: Link
    url: str | None
    host_url: str | None


class Links:
    """Use cases: create and revoke preview links.

    The first parameter of both methods is the caller, for events and the log.

    :param now: the wall clock.
    """

    def __init__(
        self,
        store: IStore,
        access: Access,
        previews: Previews,
        addresses: Addresses,
        events: EventBus,
        *,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._store = store
        self._access = access
        self._previews = previews
        self._addresses = addresses
        self._events = events
        self._now = now

    def create(self, by: Principal, session_id: str, ttl: int, user_id: str | None = None) -> Deferred[LinkAddresses]:
        """Create a link to a session's preview. Neither the session nor its preview need exist yet.

        :param ttl: lifetime in seconds.
        :param user_id: the link's user, forwarded to the application.
        :raises StoreUnavailable: when the database does not answer.
        """
        return Deferred.fromCoroutine(self._create(by, session_id, ttl, user_id))

    def revoke(self, by: Principal, session_id: str, link_id: str) -> Deferred[None]:
        """Revoke a link of a session, and close the connections that it admitted. Idempotent."""
        return Deferred.fromCoroutine(self._revoke(by, session_id, link_id))

    def sweep(self) -> Deferred[int]:
        """Remove the expired links; fires with their number. To be called every :data:`SWEEP` seconds.

        :raises StoreUnavailable: when the database does not answer.
        """
        now = self._now()
        return self._store.transaction("remove_expired_links", lambda tx: tx.links.remove_expired(now))

    async def _create(self, by: Principal, session_id: str, ttl: int, user_id: str | None) -> LinkAddresses:
        now = self._now()
        # Whole seconds, as the token has them, so that both end at the same moment; rounded up.
        expires_at = (now + timedelta(seconds=ttl, microseconds=999_999)).replace(microsecond=0)
        # Hexadecimal: a command line would parse an id with a leading hyphen as an option.
        link = Link(id=secrets.token_hex(11), session_id=session_id, user_id=user_id, expires_at=expires_at)
        await self._store.transaction("add_link", lambda tx: tx.links.add(link))
        _log.info("link created session={session} ttl={ttl} by={by}", session=session_id, ttl=ttl, by=str(by))
        query = f"?{PARAMETER.decode('ascii')}={self._access.link_token(link)}"
        host_url = self._host_url(session_id)
        url = self._addresses.path_url(session_id) if self._addresses.path_form else host_url
        return LinkAddresses(link=link, url=url and url + query, host_url=host_url and host_url + query)

    async def _revoke(self, by: Principal, session_id: str, link_id: str) -> None:
        link = await self._store.read("get_link", lambda tx: tx.links.get(link_id))
        if link is None or link.session_id != session_id:
            return
        try:
            await self._store.transaction("remove_link", lambda tx: tx.links.remove(link_id), erases=True)
        finally:
            # Also when the outcome is unknown: a visitor who is disconnected needlessly opens the link again.
            self._events.publish(LinkRevoked(session_id, link_id, by=by))
        _log.info("link revoked session={session} by={by}", session=session_id, by=str(by))

    def _host_url(self, session_id: str) -> str | None:
        try:
            port = self._previews.preview(session_id).port
        except PreviewNotRegistered:
            return None
        return self._addresses.host_url(port, session_id)
