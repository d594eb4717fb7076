"""The Host that an application gets with ``host: auto`` (contract section 5). Pure."""

from __future__ import annotations

from sandbox.domain.host_verdicts import HostMode

#: Statuses with which applications refuse an unknown Host.
REFUSALS = frozenset({400, 403, 421})


def refuses(answer: int | None) -> bool:
    """Whether a response refuses the request's Host.

    :param answer: the response's status; ``None`` when the application closed the connection instead.
    """
    return answer is None or answer in REFUSALS


def verdict(public: int | None, local: int | None) -> HostMode | None:
    """The Host mode of an application that refused the public Host.

    >>> verdict(403, 200), verdict(403, 403), verdict(None, 404)
    (<HostMode.LOCAL: 'local'>, <HostMode.PUBLIC: 'public'>, <HostMode.LOCAL: 'local'>)

    :param public: the status of its response to the public Host, as in :func:`refuses`.
    :param local: the status of its response to ``localhost:<port>``.
    :return: ``None`` when the responses are inconclusive.
    """
    if not refuses(local):
        return HostMode.LOCAL
    # It refuses both, so not because of the Host. An application that closes both connections may be shutting down.
    return None if public is None and local is None else HostMode.PUBLIC
