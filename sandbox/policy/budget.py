"""Memory accounting: a budget of bytes shared by all requests. Pure: it only counts."""

from __future__ import annotations

#: Bytes of one reservation of a growing buffer; each output stream of a command has this much reserved initially.
STEP = 64 * 1024


class Budget:
    """A number of bytes that shares reserve from.

    :ivar size: the total.
    :ivar held: bytes reserved now.
    :ivar refusals: number of refused reservations.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.held = 0
        self.refusals = 0

    def share(self) -> Share:
        """Make an empty share; its owner closes it."""
        return Share(self)


class Share:
    """The bytes that one request has reserved of a budget.

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
        """Reserve ``count`` more bytes; ``False`` when too few are left or the share is closed."""
        budget = self._budget
        if self._closed or budget.held + count > budget.size:
            budget.refusals += not self._closed
            return False
        budget.held += count
        self._held += count
        return True

    def close(self) -> None:
        """Release all bytes; further reservations are refused."""
        self._closed = True
        self._budget.held -= self._held
        self._held = 0


class Growth:
    """The reservation of a growing buffer, such as an output stream, extended in steps.

    :param share: the share to reserve from; ``None``: unlimited.
    :param reserved: bytes that the share has reserved for it already.

    >>> growth = Growth(Budget(STEP).share())
    >>> growth.fits(10), growth.fits(STEP), growth.fits(STEP + 1), growth.fits(20)
    (True, True, False, True)
    """

    __slots__ = ("_allowed", "_share")

    def __init__(self, share: Share | None, reserved: int = 0) -> None:
        self._share = share
        self._allowed = reserved

    def fits(self, size: int) -> bool:
        """Whether the buffer may hold ``size`` bytes in total; reserves more when needed."""
        if self._share is None:
            return True
        while size > self._allowed:
            if not self._share.take(STEP):
                return False
            self._allowed += STEP
        return True
