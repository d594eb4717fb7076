"""The endpoints of previews and of links to them (contract section 4)."""

from __future__ import annotations

from sandbox.api.framework import error_responses
from sandbox.api.framework.endpoint import SESSION, Call, endpoint
from sandbox.api.framework.error_responses import error_response
from sandbox.api.framework.operation import Answer
from sandbox.api.internal import response_schemas, schemas
from sandbox.api.internal.views import host_state, preview_of
from sandbox.domain.errors import Conflict, Overloaded
from sandbox.domain.model import iso
from sandbox.http.replies import Reply
from sandbox.operations.links import Links
from sandbox.operations.previews import PreviewRegistration
from sandbox.protocols.hostnames import Addresses


class PreviewEndpoints:
    """Of :class:`sandbox.api.internal.api.InternalApi`."""

    _registration: PreviewRegistration
    _links: Links
    _addresses: Addresses

    @endpoint(
        "POST",
        SESSION + "/previews",
        Answer(201, "It is registered.", response_schemas.REGISTRATION),
        tag="previews",
        body=schemas.NEW_PREVIEW,
        errors=(*error_responses.CONTAINER, *error_responses.ENGINE, error_response(Overloaded, "TOO_MANY_PREVIEWS")),
    )
    async def register_preview(self, call: Call) -> Reply:
        """Register the port whose application is previewed: one a session, and the last one wins.

        Registrations are kept in memory only: they are gone when the daemon is restarted or the session is stopped.
        """
        preview = preview_of(call.session_id, call.body)
        verdicts = await self._registration.register(call.principal, preview)
        return Reply(
            201,
            {
                "sessionId": preview.session_id,
                "port": preview.port,
                "registered": True,
                "url": self._addresses.url(preview.port, preview.session_id),
                "hostUrl": self._addresses.host_url(preview.port, preview.session_id),
                "host": preview.host.value,
                "state": {"host": host_state(preview, verdicts)},
            },
        )

    @endpoint(
        "POST",
        SESSION + "/previews/links",
        Answer(201, "The link.", response_schemas.LINK, links={"revoke_link": "linkId"}),
        tag="previews",
        body=schemas.NEW_LINK,
        errors=(
            *error_responses.STORE,
            error_response(Overloaded, "TOO_MANY_LINKS"),
            error_response(Conflict, "LINK_EXISTS"),
        ),
    )
    async def create_link(self, call: Call) -> Reply:
        """Make a URL that opens the session's preview in a browser, for a while.

        Neither the session nor its preview need exist yet.
        """
        made = await self._links.create(
            call.principal, call.session_id, call.body.get("ttlSeconds", 3600), call.body.get("userId")
        )
        ends = iso(made.link.expires_at)
        return Reply(201, {"id": made.link.id, "url": made.url, "hostUrl": made.host_url, "expiresAt": ends})

    @endpoint(
        "DELETE",
        SESSION + "/previews/links/{linkId}",
        Answer(204, "The link opens nothing any more."),
        tag="previews",
        errors=error_responses.STORE,
    )
    async def revoke_link(self, call: Call) -> Reply:
        """Revoke a link, and close what it opened; nothing happens when there is none."""
        await self._links.revoke(call.principal, call.session_id, call.in_path["linkId"])
        return Reply(204, None)
