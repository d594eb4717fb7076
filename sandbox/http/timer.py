"""Timeouts of a client's connection, by its state and by the client's reading."""

from __future__ import annotations

from typing import Any, Protocol

from sandbox.http.limits import Limits
from sandbox.http.states import HEAD, LOOK, State, TimeUp, time_left, time_up
from sandbox.net import write_coalescing
from sandbox.net.deadlines import NEVER, Deadlines


class Timed(Protocol):
    """A connection as its timer sees it.

    :ivar head_begun: whether a part of a head has arrived.
    :ivar body_taken: whether there is a body with a consumer.
    :ivar paused: whether reading from the client is paused.
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
        """End the connection, or its current request."""


class Timer:
    """The deadline of a connection; see :class:`sandbox.net.deadlines.Deadlines`.

    :ivar deadline: for the next bytes from the client, or, while the client does not read its response, for that. The
        connection sets it to :data:`NEVER` while it awaits nothing.
    """

    __slots__ = ("_connection", "_limits", "_linger_until", "_seconds", "_unsent", "deadline")

    def __init__(self, connection: Timed, limits: Limits, deadlines: Deadlines) -> None:
        self._connection = connection
        self._limits = limits
        self._seconds = deadlines.seconds
        self._linger_until = NEVER
        # Unacknowledged bytes at the last check: a decrease is progress.
        self._unsent = 0
        self.deadline = NEVER

    def renew(self) -> None:
        """Restart the timeout: bytes arrived, or the state changed."""
        one = self._connection
        if one.paused:
            left = LOOK
        else:
            left = time_left(one.state, self._limits, head_begun=one.head_begun, body_taken=one.body_taken)
        self.deadline = min(self._seconds() + left, self._linger_until)

    def await_request(self) -> None:
        """A response is complete: wait for the next request."""
        self.deadline = self._seconds() + self._limits.idle_timeout

    def await_reading(self) -> None:
        """The client reads too slowly: limit how long it can hold the response."""
        self._unsent = write_coalescing.unacknowledged(self._connection.transport)
        self.deadline = self._seconds() + self._limits.idle_timeout

    def linger(self) -> None:
        """The last response is complete: discard further input for a limited time."""
        self._linger_until = self._seconds() + self._limits.linger

    def hurry(self) -> bool:
        """Shorten the idle timeout to the grace period of draining; return whether that has passed already."""
        self.deadline += self._limits.greeting - self._limits.idle_timeout
        return self.deadline <= self._seconds()

    @property
    def idle_since(self) -> float | None:
        """Time since which a request, or the rest of its head, is awaited; ``None`` when none is."""
        one = self._connection
        if one.state is not HEAD or one.paused or write_coalescing.unsent(one.transport):
            return None
        return self.deadline - time_left(HEAD, self._limits, head_begun=one.head_begun, body_taken=False)

    def expired(self, now: float) -> None:
        """Act on the passed deadline."""
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
