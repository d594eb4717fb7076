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
    """Resolves a preview's destination; implemented by :class:`sandbox.routing.previews.Previews`."""

    def resolve(self, session_id: str) -> Destination | Deferred[Destination]:
        """The registration and its target; synchronously when both are cached.

        :raises SandboxError: when there is none, synchronously or through the Deferred.
        """


class Admitted(NamedTuple):
    """The decision to admit a request.

    :ivar section: the request's field section without the platform's credentials; unchanged where it has none.
    :ivar target: the request's target without them; ``None``: unchanged.
    :ivar told: fields that name the user to the application; a client's own fields of that name are removed.
    :ivar response_fields: fields to add to the application's response.
    :ivar authorization: the authorization that the request is attached to; access control aborts the request when it
        ends.
    """

    section: bytes
    target: bytes | None
    told: Fields
    response_fields: Fields
    authorization: Authorization | None


AccessDecision = Admitted | Reply


class Authorize(Protocol):
    """Access control; called before the registration is looked up, and before any upgrade."""

    def __call__(self, request: Request, session_id: str, prefix: bytes) -> AccessDecision | Deferred[AccessDecision]:
        """What the request passes as, or an answer of its own (a redirect that leaves a token behind).

        :param prefix: the prefix of the preview's paths; ``b""`` on its own host.
        :raises SandboxError: to refuse, synchronously or through the Deferred.
        """


class UpstreamRequest(NamedTuple):
    """A request as it is sent to an application.

    :ivar head: request line and fields for the application.
    :ivar rewriter: translates the application's addresses in the response to those that the browser uses.
    :ivar response_fields: fields to add to the application's response.
    :ivar authorization: the authorization that the request is attached to until it ends. A WebSocket made of the
        request is attached too, and is closed with 1008 when the authorization ends.
    :ivar client: the client's address, where clients can be told apart (:func:`sandbox.policy.clients.client_of`).
    :ivar verdict: the verdict that chose the Host of the request, with ``host: auto``; some responses mark it as due
        again.
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
    """Serves requests that offer an upgrade."""

    def __call__(self, request: Request, upstream_request: UpstreamRequest) -> None:
        """Respond to a request that offers ``Upgrade: websocket``; ``upstream_request.head`` offers it, too.

        The request has no body, and :meth:`Request.expect_upgrade` was called. The callee responds, by
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
