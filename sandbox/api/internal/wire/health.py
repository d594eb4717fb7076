"""How the daemon is, on the wire: described here, and said by :mod:`sandbox.telemetry.endpoints`."""

from __future__ import annotations

from collections.abc import Mapping

from sandbox.api.framework.messages import Message, member
from sandbox.api.framework.schemas import Schema
from sandbox.api.internal.wire.parameters import FLAG, TEXT

_LATENCY: Schema = {"type": "number", "minimum": 0}


class Alive(
    Message,
    title="Alive",
    example={"status": "alive", "state": "ready", "version": "1.0.0", "uptimeSeconds": 86400.5},
):
    """That the daemon runs."""

    status: str = member({"const": "alive"})
    state: str | None = member({**TEXT, "enum": ["starting", "ready", "draining"]}, default=None)
    version: str | None = member(TEXT, default=None)
    uptime_seconds: float | None = member({"type": "number", "minimum": 0}, default=None)


class Check(Message, title="Check", example={"ok": True, "latencyMs": 1.204}):
    """How something is that the daemon stands on."""

    ok: bool = member(FLAG)
    latency_ms: float = member(_LATENCY)
    error: str | None = member({**TEXT, "description": "What is wrong."}, default=None)


_CHECKS: Schema = {
    "type": "object",
    "description": "What the daemon stands on, by name; for those who have the key.",
    "additionalProperties": Check.schema,
}


class Ready(
    Message,
    title="Ready",
    example={
        "status": "ready",
        "checks": {"engine": {"ok": True, "latencyMs": 1.204}, "store": {"ok": True, "latencyMs": 0.31}},
    },
):
    """That the daemon can do its work."""

    status: str = member({"const": "ready"})
    checks: Mapping[str, Check] | None = member(_CHECKS, default=None)


class NotReady(
    Message,
    title="NotReady",
    example={
        "statusCode": 503,
        "error": "Service Unavailable",
        "code": "NOT_READY",
        "message": "The daemon is starting",
        "status": "starting",
    },
):
    """That it cannot, and why."""

    status_code: int = member({"const": 503})
    error: str = member(TEXT)
    code: str = member({"const": "NOT_READY"})
    message: str = member({**TEXT, "description": "Why; in detail for those who have the key."})
    status: str = member({**TEXT, "enum": ["starting", "unavailable", "draining"]})
    checks: Mapping[str, Check] | None = member(_CHECKS, default=None)
