"""Principals: the callers that authentication identifies, recorded by operations, domain events and the log."""

from __future__ import annotations

import enum

import attrs


class PrincipalKind(enum.Enum):
    """Kind of a principal.

    ``ROOT`` is the service key, ``KEY`` a key of narrower scope, ``USER`` a user of the platform, ``NODE`` another
    daemon of the installation, and ``SYSTEM`` the daemon itself.
    """

    ROOT = "root"
    KEY = "key"
    USER = "user"
    NODE = "node"
    SYSTEM = "system"


@attrs.frozen
class Principal:
    """The caller of an operation.

    :ivar id: its id within its kind; ``""`` where there is only one. Logs and events show it, so it is never a secret.
    :ivar user_id: the user whose sessions it is limited to; ``None`` for no limit.
    :ivar scopes: its permissions, as named by its issuer; ``ROOT`` and ``SYSTEM`` may do everything.

    >>> str(ROOT), str(Principal(PrincipalKind.KEY, "k1"))
    ('root', 'key:k1')
    """

    kind: PrincipalKind
    id: str = ""
    user_id: str | None = None
    scopes: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.kind.value}:{self.id}" if self.id else self.kind.value


#: The holder of the service key.
ROOT = Principal(PrincipalKind.ROOT)
#: The daemon itself: operations that no request caused.
SYSTEM = Principal(PrincipalKind.SYSTEM)
