"""Clocks that a test moves: one whose calls come turn by turn, and one beside real sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from sandbox.net.fairness import PAUSE

#: What a test waits for comes before so much of its own time has passed, or never.
_AGE = 100_000.0


class TurningClock(Clock):
    """What a call schedules for now comes in the next turn; Twisted's own clock has it in the same one."""

    def turn(self) -> None:
        """Call what is due, and nothing that is scheduled meanwhile."""
        due = [call for call in self.calls if call.getTime() <= self.seconds()]
        for call in due:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


class SteppedClock(Clock):
    """Time that passes only where a test lets it, for deadlines beside real sockets.

    Deferred work continues while the clock stands: the run queue in the reactor's next turn, the pacer in real time.
    """

    def callLater(self, delay: float, callable: Callable[..., Any], *args: Any, **kw: Any) -> Any:
        if delay <= PAUSE:
            return reactor.callLater(max(delay, 0), callable, *args, **kw)  # type: ignore[attr-defined]
        return super().callLater(delay, callable, *args, **kw)

    async def pass_time(self, seconds: float, step: float = 0.5) -> None:
        """Let time pass, step by step; what happens on sockets comes in between."""
        end = self.seconds() + seconds
        while (left := end - self.seconds()) > 0.001:
            self.advance(min(step, left))
            await deferLater(reactor, 0)  # type: ignore[arg-type]

    async def pass_until(self, condition: Callable[[], object], step: float = 0.5) -> None:
        """Let time pass until something holds.

        :raises AssertionError: when it never does.
        """
        end = self.seconds() + _AGE
        while not condition():
            assert self.seconds() < end, "it never came to hold"
            self.advance(step)
            await deferLater(reactor, 0.001)  # type: ignore[arg-type]
