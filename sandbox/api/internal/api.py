"""The internal REST API: one Klein application for its endpoints, and its description.

What a decorator says of an endpoint is what its requests are checked by, and what ``/api/internal/openapi.json`` says.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from werkzeug.exceptions import HTTPException

from sandbox.api.framework.endpoint import APP, OPERATIONS, Call, Page, endpoint, refuse_route
from sandbox.api.framework.openapi import describe
from sandbox.api.framework.operation import Answer
from sandbox.api.internal.page import fields, page
from sandbox.api.internal.previews import PreviewEndpoints
from sandbox.api.internal.sessions import SessionEndpoints
from sandbox.api.internal.undecorated_operations import UNDECORATED
from sandbox.api.internal.workspace import WorkspaceEndpoints
from sandbox.domain.model import ExecResult
from sandbox.http.replies import Reply
from sandbox.http.request import Request
from sandbox.operations.execution import Execution
from sandbox.operations.files import Files
from sandbox.operations.idempotency import IdempotencyCache
from sandbox.operations.links import Links
from sandbox.operations.previews import PreviewRegistration
from sandbox.operations.sessions import Sessions
from sandbox.policy.budget import Budget
from sandbox.protocols.hostnames import Addresses


@cache
def description() -> dict[str, Any]:
    """The API's description, an OpenAPI 3.1 document."""
    return describe([*OPERATIONS, *UNDECORATED])


class InternalApi(SessionEndpoints, WorkspaceEndpoints, PreviewEndpoints):
    """The Klein application; one instance serves the whole daemon.

    :param output_limit: bytes kept of each output stream of a command.
    :ivar memory: for what requests hold of outputs and files.
    """

    app = APP

    def __init__(
        self,
        *,
        sessions: Sessions,
        execution: Execution,
        files: Files,
        registration: PreviewRegistration,
        links: Links,
        idempotency: IdempotencyCache[ExecResult],
        addresses: Addresses,
        output_limit: int,
        memory: Budget,
    ) -> None:
        self.memory = memory
        self._sessions = sessions
        self._execution = execution
        self._files = files
        self._registration = registration
        self._links = links
        self._idempotency = idempotency
        self._addresses = addresses
        self._output_limit = output_limit

    @APP.handle_errors(HTTPException)  # type: ignore[arg-type]
    def _refuse(self, request: Request, failure: Any) -> bytes:
        return refuse_route(request, failure.value)

    @endpoint("GET", "/openapi.json", Answer(200, "An OpenAPI 3.1 document.", {"type": "object"}), tag="description")
    async def api_description(self, call: Call) -> Reply:
        """This description."""
        return Reply(200, description())

    @endpoint("GET", "/docs", Answer(200, "A page, complete in itself.", text_type="text/html"), tag="description")
    async def api_page(self, call: Call) -> Page:
        """This description as a page to read."""
        return Page(page(), b"text/html; charset=utf-8", fields())
