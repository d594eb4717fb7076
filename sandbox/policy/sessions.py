"""Validation of session requests, session status, and reconciliation decisions. Pure."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping

import attrs

from sandbox.domain.errors import ImageUnknown, InvalidRequest
from sandbox.domain.model import (
    ContainerSpec,
    ContainerState,
    ContainerSummary,
    Phase,
    Session,
    SessionRecord,
    SessionStatus,
)
from sandbox.policy.containers import choose
from sandbox.settings import Settings

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# A reference (distribution/reference): domain and path, tag, digest; an image id matches, too. Other texts could change
# the path of the engine's URLs.
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?(?::[0-9]+)?/)?"
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
#: Minimum memory limit of a container in MiB; below it the engine's own processes may not fit.
MEMORY_MIN = 16
#: Minimum CPU limit of a container in cores; the engine's own minimum.
CPUS_MIN = 0.01


def checked_id(session_id: str) -> str:
    """Check a session id (contract section 1).

    :raises InvalidRequest: when it is malformed.
    """
    if not _ID.fullmatch(session_id):
        raise InvalidRequest("Field 'id' must be 1 to 64 of the characters A-Z, a-z, 0-9, _ and -")
    return session_id


def checked_image(image: str) -> str:
    """Check an image reference.

    :raises ImageUnknown: when it is malformed.

    >>> checked_image("registry.example:5000/team/image:1.2")
    'registry.example:5000/team/image:1.2'
    """
    if not _IMAGE.fullmatch(image):
        raise ImageUnknown(image)
    return image


def checked_limits(spec: ContainerSpec, settings: Settings) -> ContainerSpec:
    """Check a specification against the configured maxima.

    :raises InvalidRequest: naming the field that exceeds one.
    """
    memory, cpus = spec.memory_mb, spec.cpus
    if memory is not None and not MEMORY_MIN <= memory <= settings.session_memory_mb_max:
        raise InvalidRequest(
            f"Request body field 'memoryMb' must be an integer from {MEMORY_MIN} to {settings.session_memory_mb_max}"
        )
    if cpus is not None and not CPUS_MIN <= cpus <= settings.session_cpus_max:
        raise InvalidRequest(
            f"Request body field 'cpus' must be a number from {CPUS_MIN:g} to {settings.session_cpus_max:g}"
        )
    return spec


def status_of(record: SessionRecord, container: ContainerSummary | None) -> SessionStatus:
    """A session's status: what the engine says of its container, once there should be one (contract section 8)."""
    if record.phase is Phase.CREATING:
        return SessionStatus.CREATING
    if container is None or container.state in (ContainerState.DEAD, ContainerState.REMOVING):
        return SessionStatus.FAILED
    return SessionStatus.RUNNING if container.running else SessionStatus.STOPPED


def session_of(record: SessionRecord, container: ContainerSummary | None) -> Session:
    """The session that clients see."""
    return Session(
        id=record.id,
        user_id=record.user_id,
        status=status_of(record, container),
        image=record.image,
        container_id=container.id if container is not None else record.container_id,
        created_at=record.created_at,
        updated_at=record.updated_at,
    )


class Action(enum.Enum):
    """Action of reconciliation on one session."""

    REMOVE = "remove"
    ADOPT = "adopt"
    MARK_FAILED = "mark failed"


@attrs.frozen
class Decision:
    """Decision of reconciliation on one session, with its reason for the log."""

    session_id: str
    action: Action
    reason: str


def decide(
    session_id: str, record: SessionRecord | None, container: ContainerSummary | None, leftover: bool
) -> Decision | None:
    """Decide on a session without an operation in progress; ``None`` when store and engine agree.

    :param container: the session's container, managed or not.
    :param leftover: whether a managed container or workspace carries its id.
    """
    action, reason = _difference(record, container, leftover)
    return Decision(session_id, action, reason) if action is not None else None


_REMOVALS = {
    None: "no session owns it",
    Phase.CREATING: "its creation did not come to its end",
    Phase.DELETING: "its deletion did not come to its end",
}


def _difference(
    record: SessionRecord | None, container: ContainerSummary | None, leftover: bool
) -> tuple[Action | None, str]:
    phase = record.phase if record is not None else None
    if phase in _REMOVALS:
        return Action.REMOVE if record is not None or leftover else None, _REMOVALS[phase]
    if phase is Phase.READY and container is None:
        return Action.MARK_FAILED, "its container is gone"
    if phase is Phase.FAILED and container is not None:
        return Action.ADOPT, "its container is there again"
    if record is not None and container is not None and record.container_id != container.id:
        return Action.ADOPT, "another container carries its label now"
    return None, ""


def plan(
    records: Mapping[str, SessionRecord], containers: Iterable[ContainerSummary], workspaces: Iterable[str]
) -> list[Decision]:
    """Compare all records of the store with all containers and workspaces of the engine.

    The three are not one consistent snapshot: the caller repeats each decision under the session's lock before it acts
    on it.
    """
    by_session: dict[str, list[ContainerSummary]] = {}
    for container in containers:
        by_session.setdefault(container.session_id, []).append(container)
    managed = {one.session_id for found in by_session.values() for one in found if one.managed}
    leftovers = managed | set(workspaces)
    decisions = (
        decide(session_id, records.get(session_id), choose(by_session.get(session_id, ())), session_id in leftovers)
        for session_id in sorted(set(records) | leftovers)
    )
    return [decision for decision in decisions if decision is not None]
