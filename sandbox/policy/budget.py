"""A budget of bytes that many requests draw on, so that all of them together stay within it. Pure: only counts."""

from __future__ import annotations

#: Bytes by which what grows draws on the budget, and which each stream of a command's output has from the beginning.
STEP = 64 * 1024


class Budget:
    """So many bytes, for all who hold some.

    :ivar size: bytes there are.
    :ivar held: bytes that are held now.
    :ivar refusals: how often there was not enough left.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        self.refusals = 0

    def share(self) -> Share:
        """A new share, empty; its owner closes it."""
        return Share(self)


class Share:
    """What one request holds of a budget.

    >>> budget = Budget(100)
    >>> share = budget.share()
    >>> share.take(60), share.take(60), budget.held
    (True, False, 60)
    >>> share.close(); share.take(1), budget.held
    (False, 0)
    """

    __slots__ = ("_budget", "_closed", "_held")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._held = 0
        self._closed = False

    def take(self, count: int) -> bool:
        """Hold so many bytes more; whether there were enough left. A closed share gets none."""
        budget = self._budget
        if self._closed or budget.held + count > budget.size:
            budget.refusals += not self._closed
            return False
        budget.held += count
        self._held += count
        return True

    def close(self) -> None:
        """Give everything back."""
        self._closed = True
        self._budget.held -= self._held
        self._held = 0


class Growth:
    """Something that grows, such as a stream of output, and draws on a share in steps.

    :param share: ``None`` where nothing limits it.
    :param reserved: bytes that the share holds for it already.

    >>> growth = Growth(Budget(STEP).share())
    >>> growth.fits(10), growth.fits(STEP), growth.fits(STEP + 1), growth.fits(20)
    (True, True, False, True)
    """

    __slots__ = ("_allowed", "_share")

    def __init__(self, share: Share | None, reserved: int = 0) -> None:
        self._share = share
        self._allowed = reserved

    def fits(self, size: int) -> bool:
        """Whether it may hold ``size`` bytes in all."""
        if self._share is None:
            return True
        while size > self._allowed:
            if not self._share.take(STEP):
                return False
            self._allowed += STEP
        return True
