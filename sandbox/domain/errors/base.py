"""Base class of the domain's errors, and those of no single subject.

Independent of HTTP: :mod:`sandbox.http.replies` maps them to responses.
"""

from __future__ import annotations

from typing import ClassVar

#: Codes of failures of the daemon or of a service it depends on. All other codes are caused by a client's request or by
#: a program in a container, and do not deserve a warning.
# fmt: off
OWN_FAULTS = frozenset({
    "ACCESS_UNAVAILABLE", "AGENT_UNAVAILABLE", "ENGINE_BUSY", "ENGINE_ERROR", "ENGINE_TLS", "ENGINE_UNAVAILABLE",
    "EXECUTION_FAILED", "INTERNAL", "IO_ERROR", "KILL_UNCONFIRMED", "NETWORK_UNSAFE", "STORE_BUSY", "STORE_UNAVAILABLE",
})
# fmt: on


class SandboxError(Exception):
    """Base class of expected errors.

    What a class knows beside its message are attributes of it; how these are called on the wire is an API's business.

    :cvar code: stable and machine-readable (contract section 1).
    :cvar further: what else the code of such an error may be; the API's description lists them.
    """

    code: ClassVar[str] = "INTERNAL"
    further: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        # Not inherited: codes of a base class do not apply to its subclasses.
        cls.further = vars(cls).get("further", ())

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.reason_code = code or self.code


def is_own_fault(error: BaseException) -> bool:
    """Whether an error is a failure of the daemon, which includes every unexpected exception.

    >>> from sandbox.domain.errors import ContainerNotFound, StoreUnavailable
    >>> is_own_fault(ContainerNotFound("s1")), is_own_fault(StoreUnavailable("gone")), is_own_fault(KeyError("x"))
    (False, True, True)
    """
    return not isinstance(error, SandboxError) or error.reason_code in OWN_FAULTS


class Conflict(SandboxError):
    """The request conflicts with the current state of its resource."""

    code = "CONFLICT"
    further = ("SESSION_CREATING", "LINK_EXISTS")


class Overloaded(SandboxError):
    """A configured limit on concurrent work is reached; a later retry may succeed."""

    code = "OVERLOADED"
    # fmt: off
    further = (
        "STARTING", "SESSION_BUSY", "CONTAINER_BUSY", "ENGINE_BUSY", "STORE_BUSY",
        "TOO_MANY_EXECS", "TOO_MANY_LINKS", "TOO_MANY_PREVIEWS", "TOO_MANY_PREVIEW_CONNECTIONS",
    )
    # fmt: on


class AnswerMemoryExhausted(Overloaded):
    """All requests together hold the maximum of bytes that ``ANSWER_MEMORY`` allows."""

    code = "ANSWER_MEMORY"

    def __init__(self) -> None:
        super().__init__("Too much memory is in use by other requests")


class StoreUnavailable(SandboxError):
    """The database is unavailable."""

    code = "STORE_UNAVAILABLE"


class EngineError(SandboxError):
    """The engine reported an error. The message is the engine's; operations embed it in the contract's message."""

    code = "ENGINE_ERROR"
    further = ("AGENT_LOST", "AGENT_UNAVAILABLE", "ENGINE_TLS", "NETWORK_UNSAFE")


class EngineUnavailable(EngineError):
    """The engine is unavailable."""

    code = "ENGINE_UNAVAILABLE"


class ContainerUnresponsive(EngineUnavailable):
    """The engine did not come back from a call about this container a short while ago; it answers for the others."""

    code = EngineUnavailable.code

    def __init__(self, container_id: str) -> None:
        super().__init__(f"The Docker engine does not answer for container {container_id[:12]}")
