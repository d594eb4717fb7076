"""Timed calls: beside :mod:`sandbox.scheduling` the only place that takes them from the reactor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import Cooperator, deferLater  # noqa: TID251 - here is what others use instead


class Timer:
    """One call that is due later, or none. Its owner starts it again and stops it without looking at its state."""

    __slots__ = ("_call", "_clock")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None

    @property
    def active(self) -> bool:
        """Whether a call is due."""
        return self._call is not None

    def start(self, delay: float, function: Callable[..., object], *arguments: Any) -> None:
        """Call ``function`` in ``delay`` seconds, instead of what was due before."""
        self.stop()
        self._call = self._clock.callLater(max(0.0, delay), self._ring, function, arguments)

    def stop(self) -> None:
        """Call nothing; nothing happens when nothing is due."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _ring(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._call = None
        function(*arguments)


def timer(clock: IReactorTime, delay: float, function: Callable[..., object], *arguments: Any) -> Timer:
    """A timer that is started."""
    made = Timer(clock)
    made.start(delay, function, *arguments)
    return made


def sleep(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires after ``seconds``, 0 being the reactor's next turn. Cancelling ends the wait."""
    return deferLater(clock, seconds)


def one_step_a_turn(clock: IReactorTime) -> Cooperator:
    """Runs iterators: of all of them together one step in each turn of the reactor."""
    return Cooperator(lambda: lambda: True, scheduler=lambda step: clock.callLater(0, step))
