"""Grace period of previews while the engine is away: containers run without it and keep their addresses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime

from sandbox.domain.errors import EngineUnavailable
from sandbox.net.timers import timer
from sandbox.runtimes.docker.agent_link import SharedResult

#: Seconds within which a working engine answers a ping. A ping that takes longer stays open: a frozen engine that
#: resumes answers it before anything else, which ends the grace.
_PROMPT = 0.25


class Grace:
    """Decides whether containers cached before the engine went away may still be used.

    An engine that answers may have given a container's address to another one, so its first answer ends the grace; the
    cache is trusted again after the next listing. Each use pings the engine.

    :param ping: pings the engine.
    :param seconds: the grace period; 0 disables it.
    """

    def __init__(self, clock: IReactorTime, ping: Callable[[], Deferred[None]], seconds: float) -> None:
        self._clock = clock
        self._ping = ping
        self._seconds = seconds
        self._until: float | None = None
        self._asking: SharedResult[bool] | None = None
        self._unanswered = False

    def begin(self) -> None:
        """The engine went away while the cache was trusted: begin the grace period."""
        self._until = self._clock.seconds() + self._seconds

    def end(self) -> None:
        """The engine answers: end the grace period."""
        self._until = None

    @property
    def current(self) -> bool:
        """Whether the grace period runs, without a ping."""
        return self._until is not None and self._clock.seconds() < self._until

    async def holds(self) -> bool:
        """Whether the grace period runs and a ping goes unanswered; concurrent calls share the ping."""
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
