"""The endpoints of previews and of links to them (contract section 4)."""

from __future__ import annotations

from sandbox.api.framework.calls import Call
from sandbox.api.framework.endpoint import endpoint
from sandbox.api.framework.operation import Answer
from sandbox.api.internal import errors
from sandbox.api.internal.errors import error_response
from sandbox.api.internal.wire.parameters import SESSION
from sandbox.api.internal.wire.previews import Link, NewLink, NewPreview, Registration
from sandbox.domain.errors import Conflict, Overloaded
from sandbox.operations.links import Links
from sandbox.operations.previews import PreviewRegistration
from sandbox.protocols.hostnames import Addresses


class PreviewEndpoints:
    """Of :class:`sandbox.api.internal.api.InternalApi`."""

    def __init__(self, registration: PreviewRegistration, links: Links, addresses: Addresses) -> None:
        self._registration = registration
        self._links = links
        self._addresses = addresses

    @endpoint(
        "POST",
        SESSION + "/previews",
        Answer(201, "It is registered.", Registration),
        tag="previews",
        body=NewPreview,
        errors=(*errors.CONTAINER, *errors.ENGINE, error_response(Overloaded, "TOO_MANY_PREVIEWS")),
    )
    async def register_preview(self, call: Call) -> Registration:
        """Register the port whose application is previewed: one a session, and the last one wins.

        Registrations are kept in memory only: they are gone when the daemon is restarted or the session is stopped.
        """
        body: NewPreview = call.body
        preview = body.preview(call.in_path["sessionId"])
        verdicts = await self._registration.register(call.principal, preview)
        return Registration.of(preview, verdicts, self._addresses)

    @endpoint(
        "POST",
        SESSION + "/previews/links",
        Answer(201, "The link.", Link, links={"revoke_link": "linkId"}),
        tag="previews",
        body=NewLink,
        errors=(
            *errors.STORE,
            error_response(Overloaded, "TOO_MANY_LINKS"),
            error_response(Conflict, "LINK_EXISTS"),
        ),
    )
    async def create_link(self, call: Call) -> Link:
        """Make a URL that opens the session's preview in a browser, for a while.

        Neither the session nor its preview need exist yet.
        """
        body: NewLink = call.body
        session_id = call.in_path["sessionId"]
        return Link.of(await self._links.create(call.principal, session_id, body.ttl_seconds, body.user_id))

    @endpoint(
        "DELETE",
        SESSION + "/previews/links/{linkId}",
        Answer(204, "The link opens nothing any more."),
        tag="previews",
        errors=errors.STORE,
    )
    async def revoke_link(self, call: Call) -> None:
        """Revoke a link, and close what it opened; nothing happens when there is none."""
        await self._links.revoke(call.principal, call.in_path["sessionId"], call.in_path["linkId"])
