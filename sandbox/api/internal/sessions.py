"""The endpoints of a session's life (contract section 8)."""

from __future__ import annotations

from sandbox.api.framework.calls import Call
from sandbox.api.framework.endpoint import endpoint
from sandbox.api.framework.operation import Answer, Parameter
from sandbox.api.internal import errors
from sandbox.api.internal.errors import error_response
from sandbox.api.internal.wire import parameters
from sandbox.api.internal.wire.parameters import SESSION
from sandbox.api.internal.wire.sessions import NewSession, Session, SessionPage
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
from sandbox.operations.sessions import Sessions
from sandbox.policy.cursors import DEFAULT_LIMIT

#: What can be done with a session that was made.
_NEXT = dict.fromkeys(
    ("get_session", "start_session", "stop_session", "delete_session", "exec", "register_preview"), "sessionId"
)
_CHANGED = (
    error_response(SessionNotFound),
    error_response(ContainerNotFound),
    error_response(Conflict, "SESSION_CREATING"),
    *errors.CHANGE,
)


class SessionEndpoints:
    """Of :class:`sandbox.api.internal.api.InternalApi`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    @endpoint(
        "POST",
        "/sessions",
        Answer(201, "The session; its container runs.", Session, links=_NEXT),
        tag="sessions",
        body=NewSession,
        errors=(
            error_response(ImageUnknown),
            error_response(ImageUnusable),
            error_response(SessionExists),
            error_response(EngineError, "NETWORK_UNSAFE"),
            *errors.CHANGE,
        ),
    )
    async def create_session(self, call: Call) -> Session:
        """Create a session: its container running, its workspace a volume.

        When it fails, no container, volume or row stays.
        """
        body: NewSession = call.body
        session = await self._sessions.create(
            call.principal,
            user_id=body.user_id,
            session_id=body.id,
            image=body.image,
            env=body.env,
            memory_mb=body.memory_mb,
            cpus=body.cpus,
        )
        return Session.of(session)

    @endpoint(
        "GET",
        "/sessions",
        Answer(200, "A page of sessions.", SessionPage),
        tag="sessions",
        parameters=(
            Parameter("query", "userId", parameters.USER_ID),
            Parameter("query", "status", parameters.STATUS),
            Parameter("query", "limit", parameters.LIMIT),
            Parameter("query", "cursor", parameters.CURSOR),
        ),
        errors=(*errors.STORE, *errors.ENGINE),
    )
    async def list_sessions(self, call: Call) -> SessionPage:
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
        return SessionPage(sessions=[Session.of(session) for session in sessions], next_cursor=cursor)

    @endpoint(
        "GET",
        SESSION,
        Answer(200, "The session.", Session),
        tag="sessions",
        errors=(error_response(SessionNotFound), *errors.STORE, *errors.ENGINE),
    )
    async def get_session(self, call: Call) -> Session:
        """One session, its status as the engine says now."""
        return Session.of(await self._sessions.get(call.principal, call.in_path["sessionId"]))

    @endpoint("POST", SESSION + "/start", Answer(200, "It runs.", Session), tag="sessions", errors=_CHANGED)
    async def start_session(self, call: Call) -> Session:
        """Start a stopped session; nothing happens when it runs."""
        return Session.of(await self._sessions.start(call.principal, call.in_path["sessionId"]))

    @endpoint(
        "POST",
        SESSION + "/stop",
        Answer(200, "It is stopped.", Session),
        tag="sessions",
        errors=_CHANGED,
    )
    async def stop_session(self, call: Call) -> Session:
        """Stop a session; its workspace stays.

        Its preview's registration is forgotten.
        """
        return Session.of(await self._sessions.stop(call.principal, call.in_path["sessionId"]))

    @endpoint(
        "DELETE",
        SESSION,
        Answer(204, "There is no such session any more."),
        tag="sessions",
        errors=errors.CHANGE,
    )
    async def delete_session(self, call: Call) -> None:
        """Delete a session, its container and its workspace; nothing happens when there is none."""
        await self._sessions.delete(call.principal, call.in_path["sessionId"])
