"""Parameter types for sessions and files: ``ID`` and ``ID:PATH``."""

from __future__ import annotations

import os
import re
from typing import Any

import attrs
import click
from click.shell_completion import CompletionItem

from sandbox.cli.texts import visible
from sandbox.client import Client, ClientError, Retries, load_configuration

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@attrs.frozen
class Address:
    """A file or directory in a session's workspace.

    :ivar path: relative to ``/workspace``; ``"."`` is the workspace.
    """

    session_id: str
    path: str

    def __str__(self) -> str:
        """The address in command-line notation."""
        return f"{self.session_id}:{self.path}"

    def below(self, name: str) -> Address:
        """The address of an entry of this directory."""
        return Address(self.session_id, name if self.path == "." else f"{self.path.rstrip('/')}/{name}")


def parse_address(text: str) -> Address | None:
    """Parse an address; ``None`` for a local path, which is any text without a leading id and colon. A path may also
    be absolute, below ``/workspace``.

    >>> parse_address("demo:src/app.py"), parse_address("demo:")
    (Address(session_id='demo', path='src/app.py'), Address(session_id='demo', path='.'))
    >>> parse_address("demo:/workspace/a").path
    'a'
    >>> parse_address("./demo:a"), parse_address("demo")
    (None, None)
    """
    session_id, colon, path = text.partition(":")
    if not colon or not _ID.fullmatch(session_id):
        return None
    if path == "/workspace" or path.startswith("/workspace/"):
        path = path.removeprefix("/workspace").lstrip("/")
    return Address(session_id, path or ".")


class SessionId(click.ParamType[Any]):
    """A session's id, completed in shells from the existing sessions."""

    name = "ID"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Validate the id."""
        if not _ID.fullmatch(value):
            self.fail(f"{visible(value)!r} is no session id: those have 1 to 64 of A-Z, a-z, 0-9, _ and -", param, ctx)
        return str(value)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Complete an id. On any error a shell gets no completions."""
        try:
            found = load_configuration(os.environ)
            client = Client(found.url, found.key or "", timeout=2, retries=Retries(attempts=1))
            sessions = client.list_sessions(limit=200).sessions
        except ClientError:
            return []
        return [CompletionItem(one.id, help=one.status.value) for one in sessions if one.id.startswith(incomplete)]


class Place(SessionId):
    """A session, or a path in its workspace: ``ID`` or ``ID:PATH``."""

    name = "ID[:PATH]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to an :class:`Address`, or to the session's id when there is no colon."""
        return parse_address(value) or super().convert(value, param, ctx)


class FileAddress(SessionId):
    """A path in a session's workspace: ``ID:PATH``."""

    name = "ID:PATH"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Convert to an :class:`Address`."""
        address = value if isinstance(value, Address) else parse_address(value)
        if address is None:
            self.fail(f"{visible(value)!r} is not ID:PATH", param, ctx)
        return address


SESSION_ID = SessionId()
PLACE = Place()
FILE_ADDRESS = FileAddress()
