"""Which Host an application is told where its registration leaves that open: ``auto`` (contract section 5). Pure."""

from __future__ import annotations

from sandbox.domain.host_verdicts import HostMode

#: The statuses by which applications refuse a Host that they do not know.
REFUSALS = frozenset({400, 403, 421})


def refuses(answer: int | None) -> bool:
    """Whether an answer refuses the request's Host.

    :param answer: its status; ``None`` where the application closed the connection instead.
    """
    return answer is None or answer in REFUSALS


def verdict(public: int | None, local: int | None) -> HostMode | None:
    """What an application is told that refused the public Host.

    >>> verdict(403, 200), verdict(403, 403), verdict(None, 404)
    (<HostMode.LOCAL: 'local'>, <HostMode.PUBLIC: 'public'>, <HostMode.LOCAL: 'local'>)

    :param public: its answer to a request for the public Host, see :func:`refuses`.
    :param local: its answer to one for ``localhost:<port>``.
    :return: ``None`` when nothing follows from them.
    """
    if not refuses(local):
        return HostMode.LOCAL
    # It refuses both alike, so not for the Host; one that only closes connections may be about to end.
    return None if public is None and local is None else HostMode.PUBLIC
