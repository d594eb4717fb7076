"""Cache of session containers, kept current by the event stream. Pure: no I/O, no clock.

Each event of the engine marks the session dirty until an inspection that began after the event. A dirty session has no
trusted container (:meth:`ContainerCache.cached` returns ``None``), so nothing is sent to an address that the engine may
have given to another container. Listeners are called at once when a container becomes unreachable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from sandbox.domain.model import Container, ContainerState
from sandbox.policy.containers import choose
from sandbox.runtimes.docker.inspection import SessionLabels

#: The events that change a container's state or address, and the out-of-memory event.
CONTAINER_EVENTS = ("create", "start", "die", "oom", "pause", "unpause", "rename", "destroy")
NETWORK_EVENTS = ("connect", "disconnect")


@attrs.frozen
class Event:
    """One event of the engine.

    :ivar session_id: the session label's value; ``None`` on network events.
    :ivar time_ns: when it happened by the engine's clock, in nanoseconds since the epoch.
    """

    action: str
    container_id: str
    session_id: str | None
    time_ns: int


def event_from(message: Mapping[str, Any], labels: SessionLabels) -> Event | None:
    """The event of one message of ``GET /events`` (API 1.41), or ``None`` when it is not about a served session.

    :raises KeyError, TypeError, AttributeError: when the message is not one that an engine sends.
    """
    kind, action, actor = message["Type"], message["Action"], message["Actor"]
    attributes = actor.get("Attributes") or {}
    if kind == "network" and action in NETWORK_EVENTS:
        return Event(action, attributes.get("container", ""), None, int(message["timeNano"]))
    if kind == "container" and action in CONTAINER_EVENTS:
        session_id = labels.session_id(attributes)
        if session_id is not None:
            return Event(action, actor["ID"], session_id, int(message["timeNano"]))
    return None


class ContainerCache:
    """Session containers by id and by session, with the dirty ones and the number of each one's newest claim."""

    def __init__(self) -> None:
        #: The number of the newest claim.
        self.claimed = 0
        self._session_of: dict[str, str] = {}
        self._known: dict[str, Container] = {}
        self._by_session: dict[str, set[str]] = {}
        self._claims: dict[str, int] = {}
        self._latest_claim: dict[str, int] = {}
        self._chosen: dict[str, Container] = {}

    def cached(self, session_id: str) -> Container | None:
        """The session's container; ``None`` when it has none or is dirty. A dictionary look-up."""
        return self._chosen.get(session_id)

    def latest(self, session_id: str) -> Container | None:
        """The session's last known container, dirty or not."""
        ids = self._by_session.get(session_id, ())
        return choose(self._known[one] for one in ids if one in self._known)

    def mark(self, session_id: str) -> int:
        """The number of the newest claim about the session, 0 without containers; each event changes it."""
        return max((self._latest_claim[one] for one in self._by_session.get(session_id, ())), default=0)

    def sessions(self) -> set[str]:
        """The ids of all sessions that have containers."""
        return set(self._by_session)

    def count(self, session_id: str) -> int:
        """How many containers carry the session's label."""
        return len(self._by_session.get(session_id, ()))

    def apply(self, event: Event) -> str | None:
        """Apply an event.

        :returns: the session that changed or became dirty.
        """
        container_id = event.container_id
        session_id = event.session_id or self._session_of.get(container_id)
        if session_id is None:
            return None
        if event.action == "destroy":
            self._forget(container_id)
            return session_id
        known = self._known.get(container_id)
        if known is not None and event.action in ("die", "pause", "disconnect"):
            state = {"die": ContainerState.EXITED, "pause": ContainerState.PAUSED}.get(event.action, known.state)
            gone = event.action != "pause"
            self._known[container_id] = attrs.evolve(known, state=state, address=None if gone else known.address)
        self.mark_dirty(container_id, session_id)
        return session_id

    def mark_dirty(self, container_id: str, session_id: str) -> None:
        """Mark a container dirty: it needs an inspection."""
        self._session_of[container_id] = session_id
        self._by_session.setdefault(session_id, set()).add(container_id)
        self.claimed += 1
        self._claims[container_id] = self._latest_claim[container_id] = self.claimed
        self._chosen.pop(session_id, None)

    def retain(self, container_ids: Iterable[str], before: int) -> set[str]:
        """Forget every container that is missing from a listing, unless it was claimed after the listing began.

        :param before: :attr:`claimed` when the listing began.
        :returns: the sessions that lost one.
        """
        recent = {one for one, claim in self._latest_claim.items() if claim > before}
        gone = set(self._session_of) - set(container_ids) - recent
        sessions = {self._session_of[one] for one in gone}
        for one in gone:
            self._forget(one)
        return sessions

    def unsettled(self) -> Mapping[str, int]:
        """Ids of the dirty containers, with the newest claim about each."""
        return self._claims

    def refresh(self, container_id: str, claim: int, found: Container | None) -> str | None:
        """Apply an inspection that began when ``claim`` was the newest; an overtaken inspection changes nothing.

        :param found: its result; ``None`` when there is no such container.
        :returns: the session of the container, which is no longer dirty; ``None`` when nothing changed.
        """
        if self._claims.get(container_id) != claim:
            return None
        session_id = self._session_of[container_id]
        if found is None:
            self._forget(container_id)
        else:
            self._known[container_id] = found
            del self._claims[container_id]
            self._choose(session_id)
        return session_id

    def _forget(self, container_id: str) -> None:
        self._known.pop(container_id, None)
        self._claims.pop(container_id, None)
        self._latest_claim.pop(container_id, None)
        session_id = self._session_of.pop(container_id, None)
        if session_id is None:
            return
        ids = self._by_session[session_id]
        ids.discard(container_id)
        if not ids:
            del self._by_session[session_id]
        self._choose(session_id)

    def _choose(self, session_id: str) -> None:
        self._chosen.pop(session_id, None)
        if not any(one in self._claims for one in self._by_session.get(session_id, ())):
            chosen = self.latest(session_id)
            if chosen is not None:
                self._chosen[session_id] = chosen
