"""State machine of a client's connection: transitions, timeouts, and the actions on timeout.

Pure: :class:`sandbox.http.connection.Connection` and its timer carry out the decisions.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from sandbox.http.limits import Limits
from sandbox.net.deadlines import NEVER


class State(enum.IntEnum):
    """What the next byte from the client belongs to. Integers, for two fast look-ups per request."""

    #: The head of a request.
    HEAD = 0
    #: The body of a request.
    BODY = 1
    #: A pipelined request, buffered until the response is complete.
    WAIT = 2
    #: The protocol of an upgraded connection.
    UPGRADED = 3
    #: Discarded.
    CLOSING = 4


# Module globals: before Python 3.12 looking up a member in its enum costs as much as the comparison.
HEAD, BODY, WAIT, UPGRADED, CLOSING = State

#: The allowed transitions, with their causes.
TRANSITIONS: Mapping[State, Mapping[State, str]] = {
    HEAD: {
        BODY: "a head with a body",
        WAIT: "a head without one",
        CLOSING: "a malformed request; idle timeout or eviction; the client disconnected",
    },
    BODY: {
        WAIT: "the end of the body",
        CLOSING: "a response that did not wait for that; the client disconnected",
    },
    WAIT: {
        HEAD: "the end of the response",
        UPGRADED: "a 101",
        CLOSING: "the end of the last response, or of an aborted one; the client disconnected",
    },
    UPGRADED: {CLOSING: "the client disconnected"},
    CLOSING: {CLOSING: "the client disconnected"},
}
#: Seconds between two checks of a client while reading is paused.
LOOK = 1.0


class TimeUp(enum.Enum):
    """Action on a connection whose deadline has passed."""

    LOOK_AGAIN = "reading is paused: check later whether the client is still connected"
    GO_ON = "the client reads slowly, but makes progress"
    REFUSE_HEAD = "408: the head took too long"
    FAIL_BODY = "408: the body stalled"
    CLOSE = "the connection is idle"
    ABORT = "the client does not read, or does not close"


def time_left(state: State, limits: Limits, *, head_begun: bool, body_taken: bool) -> float:
    """Seconds until the next bytes must arrive, while reading is not paused.

    :param head_begun: whether a part of a head has arrived.
    :param body_taken: whether the body has a consumer.
    """
    if state is HEAD:
        return limits.head_timeout if head_begun else limits.idle_timeout
    if state is BODY and body_taken:
        return limits.upload_timeout
    return limits.linger_pause if state is CLOSING else NEVER


def time_up(state: State, *, paused: bool, body_taken: bool, head_begun: bool, unsent: int, moved: bool) -> TimeUp:
    """Decide the action for a deadline that has passed.

    :param paused: whether reading from the client is paused.
    :param unsent: bytes that the client has not acknowledged.
    :param moved: whether it has acknowledged some since the last deadline, which extends the deadline.
    """
    if paused and not unsent:
        return TimeUp.LOOK_AGAIN
    if unsent and moved:
        return TimeUp.GO_ON
    if state is HEAD and head_begun:
        return TimeUp.REFUSE_HEAD
    if state is HEAD and not unsent:
        return TimeUp.CLOSE
    if state is BODY and body_taken and not unsent:
        return TimeUp.FAIL_BODY
    return TimeUp.ABORT
