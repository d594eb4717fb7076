"""How tests wait: by looking again and again, for longer than a busy machine takes, never for a fixed time.

A test that lets something happen waits until it sees that; a test of a deadline has a clock of its own
(:class:`tests.turns.SteppedClock`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from twisted.internet import reactor
from twisted.internet.task import deferLater

T = TypeVar("T")

#: Seconds after which what a test waits for does not come: only a hang takes so long.
PATIENCE = 60.0


async def until(condition: Callable[[], T], what: str = "", interval: float = 0.005) -> T:
    """Let the reactor run until a condition holds, and give what it found.

    :param interval: seconds between two looks; more for those that cost something.
    :raises AssertionError: when it does not come to hold.
    """
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain {what}"
        await pause(interval)
    return found


async def pause(seconds: float = 0.1) -> None:
    """Long enough for what should not happen to be seen if it did; nothing waits for something by this."""
    await deferLater(reactor, seconds)  # type: ignore[arg-type]


def until_seen(condition: Callable[[], T], what: str = "", interval: float = 0.05) -> T:
    """The same as :func:`until` where no reactor runs: it blocks."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain {what}"
        time.sleep(interval)
    return found
