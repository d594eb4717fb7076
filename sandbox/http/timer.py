"""How long a client's connection may be at what it is at, and when a client that does not read is given up."""

from __future__ import annotations

from typing import Any, Protocol

from sandbox.http.limits import Limits
from sandbox.http.states import HEAD, LOOK, State, TimeUp, time_left, time_up
from sandbox.net import write_coalescing
from sandbox.net.deadlines import NEVER, Deadlines


class Timed(Protocol):
    """What a timer knows of its connection.

    :ivar head_begun: whether a part of a head has come.
    :ivar body_taken: whether there is a body, and somebody who takes it.
    :ivar paused: whether nothing is read from the client.
    """

    transport: Any

    @property
    def state(self) -> State: ...

    @property
    def head_begun(self) -> bool: ...

    @property
    def body_taken(self) -> bool: ...

    @property
    def paused(self) -> bool: ...

    def time_is_up(self, what: TimeUp) -> None:
        """End it, or the request that it is at."""


class Timer:
    """The deadline of a connection; see :class:`sandbox.net.deadlines.Deadlines`.

    :ivar deadline: of what is read; of a client that does not read its response, that takes its place meanwhile. The
        connection sets it to :data:`NEVER` where nothing is awaited.
    """

    __slots__ = ("_connection", "_limits", "_linger_until", "_seconds", "_unsent", "deadline")

    def __init__(self, connection: Timed, limits: Limits, deadlines: Deadlines) -> None:
        self._connection = connection
        self._limits = limits
        self._seconds = deadlines.seconds
        self._linger_until = NEVER
        # What the client had not taken when it was looked at last: less of it now is progress.
        self._unsent = 0
        self.deadline = NEVER

    def renew(self) -> None:
        """Something has come, or what comes next is something else."""
        one = self._connection
        if one.paused:
            left = LOOK
        else:
            left = time_left(one.state, self._limits, head_begun=one.head_begun, body_taken=one.body_taken)
        self.deadline = min(self._seconds() + left, self._linger_until)

    def await_request(self) -> None:
        """A response is complete, and another request may come."""
        self.deadline = self._seconds() + self._limits.idle_timeout

    def await_reading(self) -> None:
        """The client does not keep up: whoever never reads again must not hold the response for ever."""
        self._unsent = write_coalescing.unacknowledged(self._connection.transport)
        self.deadline = self._seconds() + self._limits.idle_timeout

    def linger(self) -> None:
        """All is said, and what still comes is dropped, for a while."""
        self._linger_until = self._seconds() + self._limits.linger

    def hurry(self) -> bool:
        """Give a client that has just connected a moment to send its request; whether that has passed."""
        self.deadline += self._limits.greeting - self._limits.idle_timeout
        return self.deadline <= self._seconds()

    @property
    def idle_since(self) -> float | None:
        """The clock's time since when a request is awaited, or the rest of its head; ``None`` when none is."""
        one = self._connection
        if one.state is not HEAD or one.paused or write_coalescing.unsent(one.transport):
            return None
        return self.deadline - time_left(HEAD, self._limits, head_begun=one.head_begun, body_taken=False)

    def expired(self, now: float) -> None:
        """The deadline has passed."""
        one = self._connection
        if one.paused and write_coalescing.left(one.transport):
            one.time_is_up(TimeUp.ABORT)
            return
        before, self._unsent = self._unsent, write_coalescing.unacknowledged(one.transport)
        found = time_up(
            one.state,
            paused=one.paused,
            head_begun=one.head_begun,
            body_taken=one.body_taken,
            unsent=self._unsent,
            moved=self._unsent != before and now < self._linger_until,
        )
        if found is TimeUp.LOOK_AGAIN:
            self.renew()
        elif found is TimeUp.GO_ON:
            self.deadline = now + self._limits.idle_timeout
        else:
            one.time_is_up(found)
