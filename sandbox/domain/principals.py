"""Who a call is made for: what authentication finds, and operations, domain events and the log name."""

from __future__ import annotations

import enum

import attrs


class PrincipalKind(enum.Enum):
    """What a principal is known by.

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
    """Who a call is made for.

    :ivar id: which one of its kind; ``""`` where there is only one. Logs and events show it, so it is never a secret.
    :ivar user_id: the user whose sessions it is limited to; ``None`` where it is not.
    :ivar scopes: what it may do, in the words of whatever issued it; ``ROOT`` and ``SYSTEM`` may do everything.

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
#: The daemon itself: what it does unasked.
SYSTEM = Principal(PrincipalKind.SYSTEM)
