"""Interfaces of the gateway: destinations and access control of previews, and those between its own parts."""

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
        """Admit the request, or respond to it (a redirect that removes a token from the address).

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
    :ivar client: the client's address, where clients are distinguishable (:func:`sandbox.policy.clients.client_of`).
    :ivar verdict: with ``host: auto``, the verdict that chose the request's Host; some responses make it due again.
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
    """The bridge's interface to the ends of a WebSocket; implemented by :class:`sandbox.gateway.bridge.Bridge`."""

    @property
    def run_queue(self) -> RunQueue:
        """The queue in which an end continues deferred work."""

    @property
    def parting(self) -> bool:
        """Whether our own Close is being sent: no frame after the current one is relayed."""

    def seconds(self) -> float:
        """The clock's time."""

    def flooded(self) -> None:
        """One end exceeded the limit of frames without a payload."""

    def both_closed(self) -> None:
        """The closing handshake is complete."""

    def half_closed(self, end: E_contra) -> None:
        """``end`` shut its sending side and still reads."""

    def end_lost(self, end: E_contra, abrupt: bool) -> None:
        """The connection of ``end`` is closed."""
