"""The daemon from Python: :class:`Client` blocks, :class:`AsyncClient` gives Deferreds; see docs/sdk.md.

Only :class:`AsyncClient` needs Twisted, which is imported when it is first asked for: scripts start without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sandbox.client import errors
from sandbox.client.blocking import Client
from sandbox.client.configuration import Configuration, connect, load_configuration
from sandbox.client.errors import ApiError, ClientError
from sandbox.client.retrying import Retries
from sandbox.client.values import Entry, ExecResult, File, Health, Link, Metadata, Page, Registration, WrittenFile
from sandbox.domain.model import EntryType, Session, SessionStatus

if TYPE_CHECKING:
    from sandbox.client.asynchronous import AsyncClient

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "ClientError",
    "Configuration",
    "Entry",
    "EntryType",
    "ExecResult",
    "File",
    "Health",
    "Link",
    "Metadata",
    "Page",
    "Registration",
    "Retries",
    "Session",
    "SessionStatus",
    "WrittenFile",
    "connect",
    "errors",
    "load_configuration",
]


def __getattr__(name: str) -> Any:
    if name == "AsyncClient":
        from sandbox.client.asynchronous import AsyncClient  # noqa: PLC0415 - only now is Twisted needed

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
