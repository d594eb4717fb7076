"""How long previews go on while the engine is away: containers run without it, and keep their addresses meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from sandbox.domain.errors import EngineUnavailable
from sandbox.net.timers import timer
from sandbox.runtimes.docker.agent_link import SharedResult

#: Seconds within which an engine that works answers a ping. One that is unanswered for longer stays open: its answer is
#: the first thing that a frozen engine which goes on does.
_PROMPT = 0.25


class Grace:
    """Tells whether what was certain when the engine went away may still be used.

    An engine that answers may have given a container's address to another one, so from its first answer on nothing
    holds until its containers were listed. It is asked anew each time.

    :param ping: asks the engine.
    :param seconds: how long the grace is; 0 for none.
    """

    def __init__(self, clock: IReactorTime, ping: Callable[[], Deferred[None]], seconds: float) -> None:
        self._clock = clock
        self._ping = ping
        self._seconds = seconds
        self._until: float | None = None
        self._asking: SharedResult[bool] | None = None
        self._unanswered = False

    def begin(self) -> None:
        """The engine is away, and was followed until now."""
        self._until = self._clock.seconds() + self._seconds

    def end(self) -> None:
        """The engine answers."""
        self._until = None

    @property
    def current(self) -> bool:
        """Whether the grace has begun and not ended, as far as is known."""
        return self._until is not None and self._clock.seconds() < self._until

    async def holds(self) -> bool:
        """Whether the engine is away still."""
        if not self.current:
            return False
        if self._asking is None:
            self._ask()
        if self._asking is not None and not self._unanswered:
            with suppress(TimeoutError):
                await self._asking.wait().addTimeout(_PROMPT, self._clock)
        return self.current

    def _ask(self) -> None:
        asking: SharedResult[bool] = SharedResult()
        self._asking, self._unanswered = asking, False
        unanswered = timer(self._clock, _PROMPT, setattr, self, "_unanswered", True)

        async def ask() -> None:
            try:
                await self._ping()
                self.end()
            except EngineUnavailable:
                pass
            finally:
                self._asking, self._unanswered = None, False
                unanswered.stop()
                asking.finish(True)

        Deferred.fromCoroutine(ask()).addErrback(lambda _: None)
