"""The internal REST API's routes (contract sections 2, 3, 4 and 8); each a few lines."""

from __future__ import annotations

import hashlib
from typing import Any

from klein import Klein
from twisted.web.http import Request
from werkzeug.exceptions import HTTPException

from sandbox.api.endpoint import Call, Route, endpoint, refuse_route
from sandbox.api.schemas import EXEC, LINK, PREVIEW, SESSION, WRITE
from sandbox.errors import InvalidRequest
from sandbox.http.replies import Reply
from sandbox.model import Entry, ExecResult, ExecSpec, Preview, Session, iso, iso_ns
from sandbox.operations.execution import SHELL, Execution, printable
from sandbox.operations.files import Files
from sandbox.operations.idempotency import Replays
from sandbox.operations.links import Links
from sandbox.operations.previews import Previews
from sandbox.operations.sessions import Sessions
from sandbox.policy.commands import checked_arguments, checked_environment, encoded, plain, plain_environment
from sandbox.policy.hostnames import Addresses
from sandbox.policy.paths import display_name, workspace_path

ROUTES: list[Route] = []
_SESSION_PATH = "/sessions/<string:session_id>"


def _session(session: Session) -> dict[str, Any]:
    return {
        "id": session.id,
        "userId": session.user_id,
        "status": session.status.value,
        "image": session.image,
        "containerId": session.container_id,
        "createdAt": iso(session.created_at),
        "updatedAt": iso(session.updated_at),
    }


def _metadata(entry: Entry) -> dict[str, Any]:
    return {"type": entry.type.value, "size": entry.size, "modifiedAt": iso_ns(entry.modified_ns)}


def _result(result: ExecResult) -> dict[str, Any]:
    payload: dict[str, Any] = {
        "exitCode": result.exit_code,
        "stdout": printable(result.stdout),
        "stderr": printable(result.stderr),
        "durationMs": result.duration_ms,
        "truncated": result.truncated,
    }
    if result.signal is not None:
        payload["signal"] = result.signal
    if result.oom_killed:
        payload["code"] = "OOM_KILLED"
    return payload


def _path(call: Call) -> str:
    path = call.query("path", errors="surrogateescape")
    if path is None:
        raise InvalidRequest("Query parameter 'path' is required")
    return path


def _exec_spec(body: Any, output_limit: int) -> ExecSpec:
    command = body["command"]
    shell, words = (SHELL, [command]) if isinstance(command, str) else ([], command)
    cwd = body.get("cwd", ".")
    return ExecSpec(
        argv=shell + checked_arguments(words),
        # An absolute path is the command's own business; a relative one follows the rules of section 3.
        cwd=encoded("cwd", cwd) if cwd.startswith("/") else workspace_path(cwd),
        env=checked_environment(body.get("env", {})),
        timeout_ms=body.get("timeoutMs", 300_000),
        output_limit=output_limit,
    )


class InternalApi:
    """The Klein application; one instance serves the whole daemon.

    :param output_limit: bytes kept of each output stream of a command.
    """

    app = Klein()
    # A second slash is part of a path that does not exist, not something to redirect.
    app.url_map.merge_slashes = False

    def __init__(
        self,
        *,
        sessions: Sessions,
        execution: Execution,
        files: Files,
        previews: Previews,
        links: Links,
        replays: Replays[ExecResult],
        addresses: Addresses,
        output_limit: int,
    ) -> None:
        self._sessions = sessions
        self._execution = execution
        self._files = files
        self._previews = previews
        self._links = links
        self._replays = replays
        self._addresses = addresses
        self._output_limit = output_limit

    @app.handle_errors(HTTPException)  # type: ignore[arg-type]
    def _refuse(self, request: Request, failure: Any) -> bytes:
        return refuse_route(request, failure.value)

    @endpoint(app, ROUTES, "POST", "/sessions", SESSION)
    async def create_session(self, call: Call) -> Reply:
        """Create a session: its container running, its workspace a volume."""
        body = call.body
        session = await self._sessions.create(
            user_id=plain("userId", body["userId"]),
            session_id=body.get("id"),
            image=body.get("image"),
            env=plain_environment(body.get("env", {})),
            memory_mb=body.get("memoryMb"),
            cpus=body.get("cpus"),
        )
        return Reply(201, _session(session))

    @endpoint(app, ROUTES, "GET", "/sessions")
    async def list_sessions(self, call: Call) -> Reply:
        """List sessions, newest first, a page at a time."""
        sessions, cursor = await self._sessions.list(
            user_id=call.query("userId"),
            status=call.query("status"),
            limit=call.query("limit"),
            cursor=call.query("cursor"),
        )
        return Reply(200, {"sessions": [_session(session) for session in sessions], "nextCursor": cursor})

    @endpoint(app, ROUTES, "GET", _SESSION_PATH)
    async def get_session(self, call: Call) -> Reply:
        """One session, its status as the engine says now."""
        return Reply(200, _session(await self._sessions.get(call.session_id)))

    @endpoint(app, ROUTES, "POST", _SESSION_PATH + "/start")
    async def start_session(self, call: Call) -> Reply:
        """Start a stopped session; nothing happens when it runs."""
        return Reply(200, _session(await self._sessions.start(call.session_id)))

    @endpoint(app, ROUTES, "POST", _SESSION_PATH + "/stop")
    async def stop_session(self, call: Call) -> Reply:
        """Stop a session; its workspace stays."""
        return Reply(200, _session(await self._sessions.stop(call.session_id)))

    @endpoint(app, ROUTES, "DELETE", _SESSION_PATH)
    async def delete_session(self, call: Call) -> Reply:
        """Delete a session, its container and its workspace."""
        await self._sessions.delete(call.session_id)
        return Reply(204, None)

    @endpoint(app, ROUTES, "POST", _SESSION_PATH + "/exec", EXEC)
    async def execute(self, call: Call) -> Reply:
        """Run a command in a session's container and wait for its end."""
        spec = _exec_spec(call.body, self._output_limit)
        key = call.request.getHeader(b"idempotency-key")
        if key is None:
            return Reply(200, _result(await self._execution.run(call.session_id, spec)))
        if not 1 <= len(key) <= 255:
            raise InvalidRequest("Header Idempotency-Key must have 1 to 255 bytes")
        known = call.session_id, key.decode("latin-1"), hashlib.sha256(call.raw).digest()
        replay = call.request.getHeader(b"idempotency-replay")
        if replay is None:
            outcome = self._replays.once(*known, lambda: self._execution.run(call.session_id, spec))
        elif replay == b"only":
            outcome = self._replays.again(*known)
        else:
            raise InvalidRequest("Header Idempotency-Replay must be 'only'")
        return Reply(200, _result(await outcome))

    @endpoint(app, ROUTES, "GET", _SESSION_PATH + "/files")
    async def read_file(self, call: Call) -> Reply:
        """Read a text file."""
        path = _path(call)
        found = await self._files.read(call.session_id, path)
        content = found.content.decode("utf-8")
        return Reply(
            200, {"path": path, "content": content, "size": found.size, "modifiedAt": iso_ns(found.modified_ns)}
        )

    @endpoint(app, ROUTES, "POST", _SESSION_PATH + "/files", WRITE)
    async def write_file(self, call: Call) -> Reply:
        """Create or atomically replace a text file; parents are made."""
        path = call.body["path"]
        try:
            content = call.body["content"].encode("utf-8")
        except UnicodeEncodeError:
            raise InvalidRequest("Request body field 'content' holds half of a surrogate pair") from None
        return Reply(201, {"path": path, "size": await self._files.write(call.session_id, path, content)})

    @endpoint(app, ROUTES, "GET", _SESSION_PATH + "/dirs")
    async def list_directory(self, call: Call) -> Reply:
        """List a directory, sorted by name."""
        path = _path(call)
        entries = await self._files.list(call.session_id, path)
        return Reply(200, {"path": path, "entries": [{"name": display_name(e.name), **_metadata(e)} for e in entries]})

    @endpoint(app, ROUTES, "GET", _SESSION_PATH + "/stat")
    async def stat_path(self, call: Call) -> Reply:
        """Whether a path exists, and what it is."""
        entry = await self._files.stat(call.session_id, _path(call))
        return Reply(200, {"exists": False} if entry is None else {"exists": True, **_metadata(entry)})

    @endpoint(app, ROUTES, "POST", _SESSION_PATH + "/previews", PREVIEW)
    async def register_preview(self, call: Call) -> Reply:
        """Register the port whose application is previewed; the last one wins."""
        body = call.body
        preview = Preview(
            session_id=call.session_id,
            port=body["port"],
            strip_prefix=body.get("stripPrefix", True),
            preserve_host=body.get("host") == "preserve",
            access=body.get("access"),
        )
        await self._previews.register(preview)
        return Reply(
            201,
            {
                "sessionId": preview.session_id,
                "port": preview.port,
                "registered": True,
                "url": self._addresses.url(preview.port, preview.session_id),
                "hostUrl": self._addresses.host_url(preview.port, preview.session_id),
            },
        )

    @endpoint(app, ROUTES, "POST", _SESSION_PATH + "/previews/links", LINK)
    async def create_link(self, call: Call) -> Reply:
        """Make a URL that opens the session's preview in a browser, for a while."""
        made = await self._links.create(call.session_id, call.body.get("ttlSeconds", 3600), call.body.get("userId"))
        ends = iso(made.link.expires_at)
        return Reply(201, {"id": made.link.id, "url": made.url, "hostUrl": made.host_url, "expiresAt": ends})

    @endpoint(app, ROUTES, "DELETE", _SESSION_PATH + "/previews/links/<string:link_id>")
    async def revoke_link(self, call: Call) -> Reply:
        """Revoke a link, and close what it opened; nothing happens when there is none."""
        await self._links.revoke(call.session_id, call.params["link_id"])
        return Reply(204, None)
