"""``{errors}``: every code that an answer can carry, with its status and its meaning."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

from pages import Generated, table
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

import sandbox.service.application  # so that every class of errors is there
from sandbox.domain.errors import SandboxError
from sandbox.http.replies import CONTRACT

#: What is meant by codes that stand beside a class's own, and by those whose docstring is for developers.
MEANINGS = {
    "AGENT_LOST": "The program in the container that runs commands ended meanwhile.",
    "AGENT_UNAVAILABLE": "That program cannot run in this container, for the reason that is given.",
    "ARGUMENTS_TOO_LONG": "Arguments and variables are more than the kernel takes.",
    "COMMAND_NOT_EXECUTABLE": "The program may not be executed.",
    "COMMAND_NOT_FOUND": "There is no such program.",
    "CONTAINER_BUSY": "Too many requests at once for this container.",
    "CONTAINER_PAUSED": "The session's container is paused.",
    "CWD_UNUSABLE": "The working directory is none, or may not be entered.",
    "DIRECTORY_TOO_LARGE": "More entries than `DIRECTORY_LIMIT`.",
    "ENGINE_BUSY": "More than `ENGINE_QUEUE` engine calls wait for a thread.",
    "ENGINE_ERROR": "The engine refused or failed; the message has its own words.",
    "ENGINE_TLS": "The engine is reached by TLS, over which commands cannot be run.",
    "EXECUTION_TIMEOUT": "The command's time was up; `stdout` and `stderr` have what came until then.",
    "FILE_NOT_FOUND": "There is no such file or directory.",
    "FILE_TOO_LARGE": "The file is larger than may be read or written.",
    "IMAGE_UNUSABLE": "The engine has the image, but its `/workspace` is a symbolic link.",
    "INVALID_PATH": "A path that is empty, absolute or too long, or that leads out of the workspace.",
    "INVALID_REQUEST": "A field of the body, the query or the id is wrong; the message names it.",
    "IS_A_DIRECTORY": "A file was asked for.",
    "KILL_UNCONFIRMED": "Time was up, and the kernel did not confirm in time that all processes are gone.",
    "LINK_EXISTS": "A preview link of that id exists.",
    "NAME_TOO_LONG": "The file system takes no name of that length.",
    "NETWORK_UNSAFE": "The session network lets containers reach each other (`SESSION_NETWORK_SHARED`).",
    "NOT_A_DIRECTORY": "A directory was asked for, or the path leads through what is none.",
    "NOT_A_FILE": "It is neither a file nor a directory, such as a socket or a device.",
    "NOT_UTF8": "The file is not UTF-8 text.",
    "NO_SPACE": "The disk is full, or the quota used up.",
    "NO_WORKSPACE": "The container has no directory `/workspace`.",
    "PERMISSION_DENIED": "The container's user may not do that.",
    "PROCESS_LIMIT": "The container has no room for another process.",
    "READ_ONLY": "The file system is mounted read-only.",
    "SESSION_BUSY": "More than `SESSION_QUEUE` changes wait for this session.",
    "SESSION_CREATING": "The session is still being created.",
    "STARTING": "The daemon is starting, or stopping.",
    "STOPPING": "The daemon is stopping.",
    "STORE_BUSY": "More than `DATABASE_QUEUE` calls wait for the database.",
    "SUPERVISOR_LOST": "The session's own code ended the program that ran the command.",
    "TIMEOUT": "The file operation took longer than `FILE_TIMEOUT`.",
    "TOKEN_EXPIRED": "The token or link is over.",
    "TOKEN_INVALID": "The token or link is not genuine, not for this, not valid yet, or revoked.",
    "TOKEN_MISSING": "No token was presented, or by another scheme than Bearer.",
    "TOO_MANY_EXECS": "More commands at once than `MAX_EXECS` or, in one container, `MAX_CONTAINER_EXECS`; or too "
    "little of `ANSWER_MEMORY` is left for another one's output.",
    "TOO_MANY_LINKS": "More than 40 symbolic links in a path (500), or more preview links than are kept (503).",
    "TOO_MANY_PREVIEWS": "More sessions have a registered port than the daemon keeps.",
    "TOO_MANY_PREVIEW_CONNECTIONS": "More connections to applications than allowed.",
    "USER_UNKNOWN": "The container's user does not exist in it.",
}
#: Answers that need no class of errors: what can be told before a request is looked at.
PLAIN = {
    "BAD_HANDSHAKE": (400, "The WebSocket handshake is none."),
    "HEADERS_TOO_LARGE": (431, "The request's header fields are too large or too many."),
    "MALFORMED_REQUEST": (400, "What came is not HTTP/1.1, or could be read in two ways."),
    "METHOD_NOT_ALLOWED": (405, "The endpoint has other methods; `Allow` names them."),
    "NOT_FOUND": (404, "There is no such path."),
    "NOT_READY": (503, "The engine or the store does not answer; the answer says which (`GET /readyz`)."),
    "REQUEST_TIMEOUT": (408, "The request's head took too long."),
    "UPGRADE_NOT_SUPPORTED": (501, "WebSockets are not served here."),
    "UPLOAD_TIMEOUT": (408, "The request's body stalled."),
    "URI_TOO_LONG": (414, "The request line is too long."),
    "WEBSOCKET_VERSION": (426, "The WebSocket handshake is of a version other than 13."),
}


class Errors(Generated):
    """Two tables: by class of errors, and what needs none."""

    def lines(self) -> list[str]:
        """A row a code, sorted by status and code."""
        rows: dict[tuple[int, str], str] = {}
        for kind in _classes(SandboxError):
            status = CONTRACT.answer_to(kind)[0]
            if kind is not SandboxError:
                rows[status, kind.code] = _meaning(kind.code)
            # A narrower class's own status is for its own code: what it inherits keeps that of the wider one.
            for code in vars(kind).get("further", ()):
                rows.setdefault((status, code), _meaning(code))
        for code, (status, meaning) in PLAIN.items():
            rows[status, code] = meaning
        rows[500, "INTERNAL"] = "Nobody foresaw it: `incident` stands in the log beside the traceback."
        lines = []
        for status in sorted({status for status, _ in rows}):
            lines += [f"## {status} {HTTPStatus(status).phrase}", ""]
            lines += table(
                ("code", "meaning"), [(f"`{code}`", rows[at, code]) for at, code in sorted(rows) if at == status]
            )
        if missing := _written_codes() - {code for _, code in rows}:
            raise ExtensionError(f"docs/extensions/error_reference.py explains no {', '.join(sorted(missing))}")
        return lines


def _classes(kind: type[SandboxError]) -> Iterator[type[SandboxError]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _classes(each)


def _summary(kind: type[SandboxError]) -> str:
    text = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
    return re.sub(r" \(contract section [^)]*\)", "", text.replace("``", "`"))


def _meaning(code: str) -> str:
    known: dict[str, str] = {}
    for kind in _classes(SandboxError):
        known.setdefault(kind.code, _summary(kind))
    try:
        return MEANINGS.get(code) or known[code]
    except KeyError:
        raise ExtensionError(f"docs/extensions/error_reference.py explains no {code}") from None


def _written_codes() -> set[str]:
    """The codes that the sources give to plain replies: new ones shall not be forgotten here."""
    sources = [path.read_text("utf-8") for path in Path(sandbox.__file__).parent.rglob("*.py")]
    return {code for text in sources for code in re.findall(r'(?:error_reply|refuse)\(\s*\d+,\s*"([A-Z0-9_]+)"', text)}


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx asks for it."""
    app.add_directive("errors", Errors)
    return {"parallel_read_safe": True}
