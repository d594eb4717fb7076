"""Previews and links to them on the wire (contract section 4)."""

from __future__ import annotations

from typing import Self

from sandbox.api.framework.messages import Message, either, member
from sandbox.api.framework.schemas import Schema
from sandbox.api.internal.wire.parameters import FLAG, ID, MOMENT, PORT, TEXT, USER
from sandbox.domain.host_verdicts import HostMode, HostVerdicts
from sandbox.domain.model import Preview, iso
from sandbox.operations.links import LinkAddresses
from sandbox.protocols.hostnames import Addresses

_URL: Schema = {"type": ["string", "null"], "format": "uri"}
_TOLD: Schema = {"type": ["string", "null"], "enum": ["public", "local", None]}
_HOST_MODES = {
    **{mode.value: mode for mode in HostMode},
    "preserve": HostMode.PUBLIC,
    "rewrite": HostMode.LOCAL,
}


class NewPreview(Message, title="NewPreview", closed=True, example={"port": 3000}):
    """A port to register."""

    port: int = member({**PORT, "x-message": "Port must be an integer between 1024 and 65535"})
    strip_prefix: bool = member(
        {
            **FLAG,
            "default": True,
            "description": "Whether `/previews/{sessionId}` is removed from what the application sees.",
        }
    )
    host: str = member(
        {
            **TEXT,
            "enum": ["auto", "public", "local", "preserve", "rewrite"],
            "default": "auto",
            "description": "Where the application is told that it is: where browsers find it (`public`, also "
            "`preserve`), at `localhost:PORT` (`local`, also `rewrite`), or the first unless it refuses that (`auto`).",
        }
    )
    access: str | None = member(
        {
            **TEXT,
            "enum": ["public", "owner", "link"],
            "description": "Who may see it: everybody, the session's owner, or also who holds a link. Unset: what "
            "`ENABLE_PREVIEW_ACCESS_CONTROL` says.",
        },
        default=None,
    )

    def preview(self, session_id: str) -> Preview:
        """The preview that is registered."""
        return Preview(
            session_id=session_id,
            port=self.port,
            strip_prefix=self.strip_prefix,
            host=_HOST_MODES[self.host],
            access=self.access,
        )


class HostState(Message):
    """Where an application is told that it is, by the form of the address that a browser came by."""

    host: str | None = member(_TOLD)
    path: str | None = member(_TOLD)

    @classmethod
    def of(cls, preview: Preview, verdicts: HostVerdicts) -> Self:
        """What was registered, or what was found where that leaves it open."""
        if preview.host is not HostMode.AUTO:
            return cls(host=preview.host.value, path=preview.host.value)
        found = [None if one.found is None else one.found.value for one in (verdicts.host, verdicts.path)]
        return cls(host=found[0], path=found[1])


class State(Message):
    """What was found of a preview."""

    host: HostState = member(
        {
            **HostState.bare,
            "description": "What the application is told, by the form of its address; null while `auto` has "
            "not found it.",
        }
    )


class Registration(
    Message,
    title="Registration",
    example={
        "sessionId": "demo",
        "port": 3000,
        "registered": True,
        "url": "http://localhost:4002/previews/demo/",
        "hostUrl": "http://3000-demo.localhost:4002/",
        "host": "auto",
        "state": {"host": {"host": "public", "path": None}},
    },
):
    """A port that is registered."""

    session_id: str = member(ID)
    port: int = member(PORT)
    registered: bool = member({"const": True})
    url: str = member({**TEXT, "format": "uri", "description": "The preview by path, where that form is on."})
    host_url: str = member({**TEXT, "format": "uri", "description": "The preview on a host of its own."})
    host: str = member({**TEXT, "enum": ["auto", "public", "local"]})
    state: State = member(State.bare)

    @classmethod
    def of(cls, preview: Preview, verdicts: HostVerdicts, addresses: Addresses) -> Self:
        """A registration of the domain's."""
        return cls(
            session_id=preview.session_id,
            port=preview.port,
            registered=True,
            url=addresses.url(preview.port, preview.session_id),
            host_url=addresses.host_url(preview.port, preview.session_id),
            host=preview.host.value,
            state=State(host=HostState.of(preview, verdicts)),
        )


class NewLink(Message, title="NewLink", closed=True, example={"ttlSeconds": 900, "userId": "bob"}):
    """A link to make."""

    ttl_seconds: int = member({"type": "integer", "minimum": 1, "maximum": 86_400, "default": 3600})
    user_id: str | None = member({**USER, "description": "Whom the application shall be told."}, default=None)


class Link(
    Message,
    title="Link",
    example={
        "id": "mkY3T0zUu6qjW9SaL1pBvQ",
        "url": "http://localhost:4002/previews/demo/?access_token=link.demo.…",
        "hostUrl": "http://3000-demo.localhost:4002/?access_token=link.demo.…",
        "expiresAt": "2026-01-25T12:15:00.000Z",
    },
):
    """A link that was made."""

    id: str = member({**TEXT, "description": "For revoking it."})
    url: str | None = member({**_URL, "description": "By path; null where that form is off and no port is registered."})
    host_url: str | None = member({**_URL, "description": "On a host of its own; null while no port is registered."})
    expires_at: str = member(MOMENT)

    @classmethod
    def of(cls, made: LinkAddresses) -> Self:
        """A link of the domain's."""
        return cls(id=made.link.id, url=made.url, host_url=made.host_url, expires_at=iso(made.link.expires_at))


class Healthy(
    Message,
    title="Healthy",
    example={"healthy": True, "sessionId": "demo", "port": 3000, "statusCode": 200},
):
    """That an application answers; said by the gateway."""

    healthy: bool = member({"const": True})
    session_id: str = member(ID)
    port: int = member(PORT)
    status_code: int = member({"type": "integer", "description": "Any HTTP status is healthy."})


class Unhealthy(
    Message,
    title="Unhealthy",
    example={"healthy": False, "sessionId": "demo", "port": 3000, "error": "Connection refused"},
):
    """That it does not; said by the gateway."""

    healthy: bool = member({"const": False})
    session_id: str = member(ID)
    port: int = member(PORT)
    error: str = member(TEXT)


HEALTH = either("Health", Healthy, Unhealthy)
