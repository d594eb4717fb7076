"""Python SDK: a blocking :class:`Client`, and an :class:`AsyncClient` that returns Deferreds; see docs/sdk.md.

Twisted is imported on the first access to :class:`AsyncClient`, so that scripts start without it.
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
        from sandbox.client.asynchronous import AsyncClient  # noqa: PLC0415 - imports Twisted lazily

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
