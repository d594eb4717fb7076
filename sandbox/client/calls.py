"""Every endpoint, as a function that makes its :class:`~sandbox.client.protocol.Call`.

The clients' methods are these functions, carried: :class:`sandbox.client.Client` gives the result,
:class:`sandbox.client.AsyncClient` a ``Deferred`` of it. Both raise what :mod:`sandbox.client.errors` lists.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from sandbox.client import parsing
from sandbox.client.errors import ExecutionFailed, FileError
from sandbox.client.protocol import Call
from sandbox.client.values import (
    Entry,
    ExecResult,
    File,
    Health,
    Link,
    Metadata,
    Page,
    Registration,
    WrittenFile,
)
from sandbox.domain.model import Session, SessionStatus

_SESSIONS = "/api/internal/sessions"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


def create_session(
    user_id: str,
    *,
    id: str | None = None,
    image: str | None = None,
    env: Mapping[str, str] | None = None,
    memory_mb: int | None = None,
    cpus: float | None = None,
) -> Call[Session]:
    """Create a session; its container runs when this is done. When it fails nothing of it stays.

    :param user_id: whose it is.
    :param id: matches ``[A-Za-z0-9_-]{1,64}``; the daemon makes one when none is given.
    :param image: one that the engine has; none: the daemon's ``SESSION_IMAGE``.
    :param env: variables of every process in it.
    :param memory_mb: memory limit in MiB.
    :param cpus: CPU limit in cores.
    :raises SessionExists: when the id is taken.
    :raises ImageUnknown: when the engine lacks the image.
    """
    payload = _given(
        userId=user_id,
        id=id,
        image=image,
        env=None if env is None else dict(env),
        memoryMb=memory_mb,
        cpus=cpus,
    )
    return Call(method="POST", target=_SESSIONS, payload=payload, parse=parsing.session)


def list_sessions(
    *,
    user_id: str | None = None,
    status: SessionStatus | str | None = None,
    limit: int | None = None,
    cursor: str | None = None,
) -> Call[Page]:
    """A page of sessions, newest first.

    :param status: ``"creating"``, ``"running"``, ``"stopped"`` or ``"failed"``.
    :param limit: sessions a page, 1 to 200; 50 when none is given.
    :param cursor: the ``next_cursor`` of the page before.
    """
    wanted = status.value if isinstance(status, SessionStatus) else status
    query = urlencode(_given(userId=user_id, status=wanted, limit=limit, cursor=cursor))
    target = f"{_SESSIONS}?{query}" if query else _SESSIONS
    return Call(method="GET", target=target, repeatable=True, parse=parsing.page)


def get_session(session_id: str) -> Call[Session]:
    """A session, its status as the engine says now.

    :raises SessionNotFound: when there is none.
    """
    return Call(method="GET", target=_of(session_id), repeatable=True, parse=parsing.session)


def start_session(session_id: str) -> Call[Session]:
    """Start a stopped session; nothing happens when it runs."""
    return Call(method="POST", target=_of(session_id, "/start"), repeatable=True, parse=parsing.session)


def stop_session(session_id: str) -> Call[Session]:
    """Stop a session; its workspace stays."""
    return Call(method="POST", target=_of(session_id, "/stop"), repeatable=True, parse=parsing.session)


def delete_session(session_id: str) -> Call[None]:
    """Delete a session, its container and its workspace; nothing happens when there is none."""
    return Call(method="DELETE", target=_of(session_id), repeatable=True, parse=parsing.nothing)


def exec(
    session_id: str,
    command: str | Sequence[str],
    *,
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    timeout_ms: int = 300_000,
    idempotency_key: str | None = None,
) -> Call[ExecResult]:
    """Run a command and wait for its end; an exit code other than 0 is a result, not an error.

    :param command: a string is run by ``/bin/sh -c``, a sequence as it is.
    :param cwd: relative to ``/workspace``, or absolute.
    :param timeout_ms: milliseconds, 1 to 600000, until it and all it started are killed.
    :param idempotency_key: of two calls with one key the daemon runs one and gives both its outcome; a fresh one is
        made for each call when none is given.
    :raises ExecutionTimeout: when time was up; with what it had printed.
    :raises ExecutionFailed: when it could not be run.
    """
    payload = _given(
        command=command if isinstance(command, str) else list(command),
        cwd=cwd,
        env=None if env is None else dict(env),
        timeoutMs=timeout_ms,
    )
    key = secrets.token_hex(16) if idempotency_key is None else idempotency_key
    return Call(
        method="POST",
        target=_of(session_id, "/exec"),
        payload=payload,
        headers=((b"idempotency-key", key.encode("latin-1")),),
        repeatable=True,
        # A daemon that does not know the key, because it was restarted or killed the command of a caller that it took
        # for gone, must not begin anew.
        repeat_headers=((b"idempotency-replay", b"only"),),
        work=timeout_ms / 1000,
        family=ExecutionFailed,
        parse=parsing.exec_result,
    )


def read_file(session_id: str, path: str) -> Call[File]:
    """Read a UTF-8 text file.

    :param path: relative to ``/workspace``, as in the other calls on files.
    :raises FileNotFound: when there is none.
    :raises NotText: when it is not UTF-8.
    """
    return _look(session_id, "/files", path, parsing.file)


def write_file(session_id: str, path: str, content: str) -> Call[WrittenFile]:
    """Create or atomically replace a text file; parents are made.

    Each write makes a new file under the old name, so a program that has the old one open (``tail -f``,
    ``node --watch``, ``fs.watch`` of a file) keeps the old one: let it watch the directory, or follow the name
    (``tail -F``). Where the directory may not be changed, or the file is a mount, the file is rewritten in place, and
    a reader may see a part.
    """
    return Call(
        method="POST",
        target=_of(session_id, "/files"),
        payload={"path": path, "content": content},
        family=FileError,
        parse=parsing.written_file,
    )


def list_directory(session_id: str, path: str = ".") -> Call[Sequence[Entry]]:
    """List a directory, hidden entries included, sorted by name."""
    return _look(session_id, "/dirs", path, parsing.entries)


def stat(session_id: str, path: str) -> Call[Metadata | None]:
    """What a path is; ``None`` when nothing is there."""
    return _look(session_id, "/stat", path, parsing.metadata_or_none)


def register_preview(
    session_id: str,
    port: int,
    *,
    access: str | None = None,
    strip_prefix: bool | None = None,
    host: str | None = None,
) -> Call[Registration]:
    """Register the port whose application is previewed; one a session, the last wins, and a restart forgets it.

    :param port: 1024 to 65535.
    :param access: who may see it: ``"public"``, ``"owner"`` or ``"link"``; none: what the daemon is configured for.
    :param strip_prefix: whether ``/previews/ID`` is removed from what the application sees.
    :param host: where the application is told that it is: ``"public"``, ``"local"``, or ``"auto"``, the default.
    """
    payload = _given(port=port, access=access, stripPrefix=strip_prefix, host=host)
    return Call(method="POST", target=_of(session_id, "/previews"), payload=payload, parse=parsing.registration)


def create_link(session_id: str, *, ttl_seconds: int | None = None, user_id: str | None = None) -> Call[Link]:
    """Make a URL that opens the session's preview in a browser for a while.

    :param ttl_seconds: 1 to 86400; 3600 when none is given.
    :param user_id: whom the application shall be told.
    """
    payload = _given(ttlSeconds=ttl_seconds, userId=user_id)
    return Call(method="POST", target=_of(session_id, "/previews/links"), payload=payload, parse=parsing.link)


def revoke_link(session_id: str, link_id: str) -> Call[None]:
    """Revoke a link, and close what it opened; nothing happens when there is none."""
    if not _ID.fullmatch(link_id):
        raise ValueError(f"a link's id has 1 to 64 of the characters A-Z, a-z, 0-9, _ and -, unlike {link_id!r}")
    target = _of(session_id, f"/previews/links/{link_id}")
    return Call(method="DELETE", target=target, repeatable=True, parse=parsing.nothing)


def preview_health(session_id: str) -> Call[Health]:
    """Whether the application in a session answers; asked of the daemon's public face.

    :raises PreviewNotRegistered: when no port is registered.
    """
    _of(session_id)
    target = f"/previews/{session_id}/health"
    return Call(method="GET", target=target, repeatable=True, work=5.0, public=True, parse=parsing.health)


def api_description() -> Call[dict[str, Any]]:
    """The internal API's description, an OpenAPI 3.1 document."""
    return Call(method="GET", target="/api/internal/openapi.json", repeatable=True, parse=parsing.document)


def api_page() -> Call[str]:
    """The same as an HTML page to read, complete in itself."""
    target = "/api/internal/docs"
    return Call(method="GET", target=target, repeatable=True, accept=b"text/html", parse=parsing.text)


def _of(session_id: str, rest: str = "") -> str:
    # Checked here because it becomes part of a path, where ".." would be another endpoint.
    if not _ID.fullmatch(session_id):
        raise ValueError(f"a session's id has 1 to 64 of the characters A-Z, a-z, 0-9, _ and -, unlike {session_id!r}")
    return f"{_SESSIONS}/{session_id}{rest}"


def _look(session_id: str, where: str, path: str, parse: parsing.Parser[parsing.T]) -> Call[parsing.T]:
    target = f"{_of(session_id, where)}?path={quote(path.encode('utf-8', 'surrogateescape'), safe='')}"
    return Call(method="GET", target=target, repeatable=True, family=FileError, parse=parse)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}
