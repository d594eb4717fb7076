"""The internal REST API, put together, and its description.

What a decorator says of an endpoint is what its requests are checked by, and what ``/api/internal/openapi.json`` says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from sandbox.api.framework.api import Api, operations_of
from sandbox.api.framework.calls import Call, Page
from sandbox.api.framework.endpoint import endpoint
from sandbox.api.framework.openapi import describe
from sandbox.api.framework.operation import Answer
from sandbox.api.internal.description import DOCUMENT
from sandbox.api.internal.errors import ERRORS
from sandbox.api.internal.page import fields, page
from sandbox.api.internal.previews import PreviewEndpoints
from sandbox.api.internal.sessions import SessionEndpoints
from sandbox.api.internal.undecorated_operations import UNDECORATED
from sandbox.api.internal.wire.parameters import IN_PATH
from sandbox.api.internal.workspace import WorkspaceEndpoints
from sandbox.http.authentication import Authentication
from sandbox.http.replies import Reply
from sandbox.policy.budget import Budget

PREFIX = "/api/internal"


@cache
def description() -> dict[str, Any]:
    """The API's description, an OpenAPI 3.1 document."""
    decorated = operations_of(PREFIX, PreviewEndpoints, SessionEndpoints, WorkspaceEndpoints, DescriptionEndpoints)
    return describe(DOCUMENT, [*decorated, *UNDECORATED])


class DescriptionEndpoints:
    """Of :class:`InternalApi`."""

    @endpoint("GET", "/openapi.json", Answer(200, "An OpenAPI 3.1 document.", {"type": "object"}), tag="description")
    async def api_description(self, call: Call) -> Reply:
        """This description."""
        return Reply(200, description())

    @endpoint("GET", "/docs", Answer(200, "A page, complete in itself.", text_type="text/html"), tag="description")
    async def api_page(self, call: Call) -> Page:
        """This description as a page to read."""
        return Page(page(), b"text/html; charset=utf-8", fields())


class InternalApi(Api):
    """The API of the platform; one instance serves the whole daemon. Parameters: see :class:`Api`."""

    def __init__(
        self,
        authentication: Authentication,
        previews: PreviewEndpoints,
        sessions: SessionEndpoints,
        workspace: WorkspaceEndpoints,
        *,
        body_limit: int,
        memory: Budget,
    ) -> None:
        super().__init__(
            PREFIX,
            authentication,
            ERRORS,
            (previews, sessions, workspace, DescriptionEndpoints()),
            in_path=IN_PATH,
            session="sessionId",
            body_limit=body_limit,
            memory=memory,
        )
