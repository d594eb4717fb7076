"""The endpoints of a session's life (contract section 8)."""

from __future__ import annotations

from sandbox.api.framework import error_responses
from sandbox.api.framework.endpoint import SESSION, Call, endpoint
from sandbox.api.framework.error_responses import error_response
from sandbox.api.framework.operation import Answer, Parameter
from sandbox.api.internal import response_schemas, schemas
from sandbox.api.internal.views import session_view
from sandbox.domain.errors import (
    Conflict,
    ContainerNotFound,
    EngineError,
    ImageUnknown,
    ImageUnusable,
    SessionExists,
    SessionNotFound,
)
from sandbox.domain.model import SessionStatus
from sandbox.http.replies import Reply
from sandbox.operations.sessions import Sessions
from sandbox.policy.commands import plain, plain_environment
from sandbox.policy.cursors import DEFAULT_LIMIT

#: What can be done with a session that was made.
_NEXT = dict.fromkeys(
    ("get_session", "start_session", "stop_session", "delete_session", "exec", "register_preview"), "sessionId"
)
_CHANGED = (
    error_response(SessionNotFound),
    error_response(ContainerNotFound),
    error_response(Conflict, "SESSION_CREATING"),
    *error_responses.CHANGE,
)


class SessionEndpoints:
    """Of :class:`sandbox.api.internal.api.InternalApi`."""

    _sessions: Sessions

    @endpoint(
        "POST",
        "/sessions",
        Answer(201, "The session; its container runs.", response_schemas.SESSION, links=_NEXT),
        tag="sessions",
        body=schemas.NEW_SESSION,
        errors=(
            error_response(ImageUnknown),
            error_response(ImageUnusable),
            error_response(SessionExists),
            error_response(EngineError, "NETWORK_UNSAFE"),
            *error_responses.CHANGE,
        ),
    )
    async def create_session(self, call: Call) -> Reply:
        """Create a session: its container running, its workspace a volume.

        When it fails, no container, volume or row stays.
        """
        body = call.body
        session = await self._sessions.create(
            call.principal,
            user_id=plain("userId", body["userId"]),
            session_id=body.get("id"),
            image=body.get("image"),
            env=plain_environment(body.get("env", {})),
            memory_mb=body.get("memoryMb"),
            cpus=body.get("cpus"),
        )
        return Reply(201, session_view(session))

    @endpoint(
        "GET",
        "/sessions",
        Answer(200, "A page of sessions.", response_schemas.PAGE),
        tag="sessions",
        parameters=(
            Parameter("query", "userId", schemas.USER_ID),
            Parameter("query", "status", schemas.STATUS),
            Parameter("query", "limit", schemas.LIMIT),
            Parameter("query", "cursor", schemas.CURSOR),
        ),
        errors=(*error_responses.STORE, *error_responses.ENGINE),
    )
    async def list_sessions(self, call: Call) -> Reply:
        """List sessions, newest first, a page at a time.

        A page may be shorter than its limit, or empty, and still have a next one.
        """
        given = call.given
        sessions, cursor = await self._sessions.list(
            call.principal,
            user_id=given["userId"],
            status=None if given["status"] is None else SessionStatus(given["status"]),
            limit=DEFAULT_LIMIT if given["limit"] is None else given["limit"],
            cursor=given["cursor"],
        )
        return Reply(200, {"sessions": [session_view(session) for session in sessions], "nextCursor": cursor})

    @endpoint(
        "GET",
        SESSION,
        Answer(200, "The session.", response_schemas.SESSION),
        tag="sessions",
        errors=(error_response(SessionNotFound), *error_responses.STORE, *error_responses.ENGINE),
    )
    async def get_session(self, call: Call) -> Reply:
        """One session, its status as the engine says now."""
        return Reply(200, session_view(await self._sessions.get(call.principal, call.session_id)))

    @endpoint(
        "POST", SESSION + "/start", Answer(200, "It runs.", response_schemas.SESSION), tag="sessions", errors=_CHANGED
    )
    async def start_session(self, call: Call) -> Reply:
        """Start a stopped session; nothing happens when it runs."""
        return Reply(200, session_view(await self._sessions.start(call.principal, call.session_id)))

    @endpoint(
        "POST",
        SESSION + "/stop",
        Answer(200, "It is stopped.", response_schemas.SESSION),
        tag="sessions",
        errors=_CHANGED,
    )
    async def stop_session(self, call: Call) -> Reply:
        """Stop a session; its workspace stays.

        Its preview's registration is forgotten.
        """
        return Reply(200, session_view(await self._sessions.stop(call.principal, call.session_id)))

    @endpoint(
        "DELETE",
        SESSION,
        Answer(204, "There is no such session any more."),
        tag="sessions",
        errors=error_responses.CHANGE,
    )
    async def delete_session(self, call: Call) -> Reply:
        """Delete a session, its container and its workspace; nothing happens when there is none."""
        await self._sessions.delete(call.principal, call.session_id)
        return Reply(204, None)
