"""Timed calls: apart from :mod:`sandbox.scheduling` the only module that uses ``callLater``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater  # noqa: TID251 - here is what others use instead


class Timer:
    """At most one pending timed call. :meth:`start` and :meth:`stop` are valid in every state."""

    __slots__ = ("_call", "_clock")

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._call: IDelayedCall | None = None

    @property
    def active(self) -> bool:
        """Whether a call is pending."""
        return self._call is not None

    def start(self, delay: float, function: Callable[..., object], *arguments: Any) -> None:
        """Call ``function`` in ``delay`` seconds, replacing a pending call."""
        self.stop()
        self._call = self._clock.callLater(max(0.0, delay), self._ring, function, arguments)

    def stop(self) -> None:
        """Cancel the pending call. Idempotent."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _ring(self, function: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self._call = None
        function(*arguments)


def timer(clock: IReactorTime, delay: float, function: Callable[..., object], *arguments: Any) -> Timer:
    """Create and start a timer."""
    made = Timer(clock)
    made.start(delay, function, *arguments)
    return made


def sleep(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """Fires after ``seconds``; 0 is the reactor's next turn. Cancelling ends the wait."""
    return deferLater(clock, seconds)
