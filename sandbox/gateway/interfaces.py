"""What the gateway asks of others, where a preview is and who may see it, and what its parts ask of each other."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeVar

from twisted.internet.defer import Deferred

from sandbox.domain.host_verdicts import HostVerdict
from sandbox.domain.model import Destination, Target
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.net.fairness import RunQueue
from sandbox.protocols.http1.grammar import Fields
from sandbox.protocols.http1.rewriting import Rewriter
from sandbox.routing.authorizations import Authorization

E_contra = TypeVar("E_contra", contravariant=True)


class Resolver(Protocol):
    """Knows where a preview's requests go; :class:`sandbox.routing.previews.Previews` is one."""

    def resolve(self, session_id: str) -> Destination | Deferred[Destination]:
        """The registration and its target, at once where they are known.

        :raises SandboxError: when there is none, now or through the Deferred.
        """


class Admitted(NamedTuple):
    """A request that access control lets through.

    :ivar section: the request's field section without the platform's credentials, its own where it has none.
    :ivar target: the request's target without them; ``None``: as it came.
    :ivar told: fields that tell the application who its user is; a client's own ones of that name never pass.
    :ivar response_fields: fields that the response gets beside the application's own.
    :ivar authorization: what the request leans on; access control itself breaks the request off when it ends.
    """

    section: bytes
    target: bytes | None
    told: Fields
    response_fields: Fields
    authorization: Authorization | None


AccessDecision = Admitted | Reply


class Authorize(Protocol):
    """Access control. It is asked before the registration is looked up, and before any upgrade."""

    def __call__(self, request: Request, session_id: str, prefix: bytes) -> AccessDecision | Deferred[AccessDecision]:
        """What the request passes as, or an answer of its own (a redirect that leaves a token behind).

        :param prefix: what the preview's paths begin with, ``b""`` on a host of its own.
        :raises SandboxError: to refuse, now or through the Deferred.
        """


class UpstreamRequest(NamedTuple):
    """A request as it leaves for an application.

    :ivar head: its line and fields, as the application gets them.
    :ivar rewriter: makes the application's addresses the browser's, in what comes back.
    :ivar response_fields: fields of ours that the response gets beside the application's.
    :ivar authorization: the right that the request is attached to until it is over. A WebSocket made of the request is
        attached too, and is closed with 1008 when the authorization ends.
    :ivar client: who sent it, where clients can be told apart (:func:`sandbox.policy.clients.client_of`).
    :ivar verdict: what the application was told by, where its registration leaves that open: its answers may cast doubt
        on it.
    """

    session_id: str
    target: Target
    rewriter: Rewriter
    head: bytes
    response_fields: Fields
    authorization: Authorization | None = None
    client: str | None = None
    verdict: HostVerdict | None = None


class Upgrades(Protocol):
    """Carries an upgraded connection."""

    def __call__(self, request: Request, upstream_request: UpstreamRequest) -> None:
        """Answer a request that offers ``Upgrade: websocket``; the offer is in ``upstream_request.head`` too.

        The request has no body, and :meth:`Request.expect_upgrade` has been called. Whoever takes it answers it, by
        :meth:`Request.upgrade` after a 101 or by a whole response, and sets :attr:`Request.on_disconnect`.
        """


class BridgeCallbacks(Protocol[E_contra]):
    """What an end of a WebSocket needs of its bridge; :class:`sandbox.gateway.bridge.Bridge` is one."""

    @property
    def run_queue(self) -> RunQueue:
        """Where an end goes on with what it has left."""

    @property
    def parting(self) -> bool:
        """Whether our own Close is on its way, so that an end's frames go no further than the one under way."""

    def seconds(self) -> float:
        """The clock's time."""

    def flooded(self) -> None:
        """One end sends frames without a payload, without an end."""

    def both_closed(self) -> None:
        """The closing handshake is complete."""

    def half_closed(self, end: E_contra) -> None:
        """Nothing more comes from ``end``, which still listens."""

    def end_lost(self, end: E_contra, abrupt: bool) -> None:
        """The connection of ``end`` is gone."""
