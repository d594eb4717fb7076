"""The states of a client's connection: what may follow what, how long each may last, and what comes of it then.

Pure: :class:`sandbox.http.connection.Connection` and its timer do what is decided here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping

from sandbox.http.limits import Limits
from sandbox.net.deadlines import NEVER


class State(enum.IntEnum):
    """What the next byte from the client is. Integers, since every request looks two of them up."""

    #: A head.
    HEAD = 0
    #: Body.
    BODY = 1
    #: Kept until the response is complete.
    WAIT = 2
    #: Another protocol's.
    UPGRADED = 3
    #: Dropped.
    CLOSING = 4


# Looking a member up in its class is what it costs to compare with one, before Python 3.12.
HEAD, BODY, WAIT, UPGRADED, CLOSING = State

#: What may follow what, and by what it does.
TRANSITIONS: Mapping[State, Mapping[State, str]] = {
    HEAD: {
        BODY: "a head with a body",
        WAIT: "a head without one",
        CLOSING: "bytes that are no request; idle for too long, or evicted; the client left",
    },
    BODY: {
        WAIT: "the end of the body",
        CLOSING: "a response that did not wait for that; the client left",
    },
    WAIT: {
        HEAD: "the end of the response",
        UPGRADED: "a 101",
        CLOSING: "the end of the last response, or of one that broke; the client left",
    },
    UPGRADED: {CLOSING: "the client left"},
    CLOSING: {CLOSING: "the client left"},
}
#: Seconds between two looks at a client that nothing is read from.
LOOK = 1.0


class TimeUp(enum.Enum):
    """What is to be done about a connection whose deadline has passed."""

    LOOK_AGAIN = "nothing is read from it; see whether it is still there, later"
    GO_ON = "it reads slowly, but it does"
    REFUSE_HEAD = "408: its head took too long"
    FAIL_BODY = "408: its body stalled"
    CLOSE = "it is idle"
    ABORT = "it does not read, or does not go"


def time_left(state: State, limits: Limits, *, head_begun: bool, body_taken: bool) -> float:
    """How many seconds may pass until the next bytes come, while they are read.

    :param head_begun: whether a part of a head is there.
    :param body_taken: whether somebody takes the body.
    """
    if state is HEAD:
        return limits.head_timeout if head_begun else limits.idle_timeout
    if state is BODY and body_taken:
        return limits.upload_timeout
    return limits.linger_pause if state is CLOSING else NEVER


def time_up(state: State, *, paused: bool, body_taken: bool, head_begun: bool, unsent: int, moved: bool) -> TimeUp:
    """What comes of a deadline that has passed.

    :param paused: whether nothing is read from the client.
    :param unsent: bytes that the client has not taken.
    :param moved: whether it has taken some since the last deadline, and may go on to do so.
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
