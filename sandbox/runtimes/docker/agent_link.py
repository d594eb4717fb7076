"""The connection to one agent: requests go out, replies come back to whoever waits for them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from math import inf
from typing import Any, Generic, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from sandbox.net.fairness import Intake, RunQueue
from sandbox.protocols.docker_stream import STDERR, FrameError, StreamDemultiplexer
from sandbox.runtimes.docker import protocol

T = TypeVar("T")
_log = Logger()

#: Bytes taken of what is no reply: the engine's own words when the agent could not be started.
_WORDS_LIMIT = 16 << 10
#: Replies to nobody, and frames without a payload, that a link may see beside two for each request: one reply may cross
#: the request's end on the way, and the list of an empty directory is empty. A flood of them is an attack.
_STRAYS = 1000
# Pieces of the stream and replies that are taken at once, about half a millisecond's work when they are tiny, and
# seconds after which no other is: a reply may bring a hundred entries of a directory.
_PIECES = 256
_SLICE = 0.001


class LinkLost(Exception):
    """The connection to the agent ended before the reply.

    :ivar words: what the engine or the agent said last, if anything.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words = words


class SharedResult(Generic[T]):
    """A result that any number may wait for, each of whom may stop waiting without disturbing the others."""

    def __init__(self) -> None:
        self._result: T | Failure | None = None
        self._waiting: list[Deferred[T]] | None = []

    @property
    def over(self) -> bool:
        """Whether the result is there."""
        return self._waiting is None

    def finish(self, result: T | Failure) -> None:
        """This is it. Later ones are ignored."""
        if self._waiting is None:
            return
        self._result, waiting, self._waiting = result, self._waiting, None
        for deferred in waiting:
            deferred.callback(result)

    def wait(self) -> Deferred[T]:
        """Fires with the result, or fails with it. Cancelling ends this waiting and nothing else."""
        if self._waiting is None:
            deferred: Deferred[T] = Deferred()
            deferred.callback(self._result)  # type: ignore[arg-type]
        else:
            deferred = Deferred(self._waiting.remove)
            self._waiting.append(deferred)
        return deferred


class Exchange(SharedResult[T], ABC):
    """One request and its replies. Subclasses take the replies in and call :meth:`finish`.

    :ivar discarded: whether nothing waits for what comes, so that none of it is kept.
    """

    discarded = False

    def discard(self) -> None:
        """Keep nothing of what came or comes."""
        self.discarded = True

    @abstractmethod
    def received(self, kind: int, payload: bytes) -> bool:
        """Take a reply in; whether it was the last one.

        It goes on being called after the outcome was set from elsewhere, until the last reply.

        :raises ProtocolError: when it has no place here; the link then ends.
        """


class Greeting(Exchange[protocol.Refusal | None]):
    """HELLO: ``None`` when the agent is ready."""

    def received(self, kind: int, payload: bytes) -> bool:
        """As :meth:`Exchange.received`."""
        if kind == protocol.FAILURE:
            self.finish(protocol.parse_refusal(payload))
        elif kind == protocol.GREETING and payload == bytes([protocol.VERSION]):
            self.finish(None)
        else:
            raise protocol.ProtocolError("no greeting")
        return True


@implementer(IPushProducer)
class AgentLink(Protocol):
    """The stream of the agent's ``docker exec``.

    A request's frames are made and written as the agent takes them, one request after the other.

    :param ended: called once when the connection is gone.
    :param run_queue: has the replies that one turn has no room for.
    :param stalled: called each time that the agent does not take what is sent at once.
    :ivar paused: whether it does not just now.
    :ivar pauses: how often it did not.
    :ivar broken: whether it was ended because the agent broke the protocol.
    """

    transport: Any

    def __init__(
        self,
        ended: Callable[[AgentLink], None],
        run_queue: RunQueue,
        stalled: Callable[[AgentLink], None] = lambda link: None,
    ) -> None:
        self._ended = ended
        self._run_queue = run_queue
        self._stalled = stalled
        self._intake: Intake | None = None
        self._unread: Iterator[None] = iter(())
        self._outgoing: deque[tuple[int, Iterator[bytes]]] = deque()
        self._unsent: set[int] = set()
        self._writing = False
        self.paused = False
        self.pauses = 0
        self._stream = StreamDemultiplexer()
        self._replies = protocol.ReplyParser()
        self._exchanges: dict[int, Exchange[object]] = {}
        self._last_id = 0
        self._words = b""
        self._strays = 0
        self._spoke = False
        self._closed = False
        self.connected_now = False
        self.broken = False

    def connectionMade(self) -> None:
        """Twisted's callback."""
        self.connected_now = not self._closed
        assert self.transport is not None
        self._intake = Intake(self._run_queue, self.transport, self._catch_up)
        self.transport.registerProducer(self, True)
        self._abort()

    def pauseProducing(self) -> None:
        """As ``IPushProducer.pauseProducing``."""
        self.paused = True
        self.pauses += 1
        self._stalled(self)

    def resumeProducing(self) -> None:
        """As ``IPushProducer.resumeProducing``."""
        self.paused = False
        self._write()

    def stopProducing(self) -> None:
        """As ``IPushProducer.stopProducing``: the connection is gone."""
        self._outgoing.clear()

    @property
    def busy(self) -> int:
        """How many requests have not had their last reply, those that nobody waits for any more included."""
        return len(self._exchanges)

    def begin(self, exchange: Exchange[T], frames: Callable[[int], Iterable[bytes]]) -> int:
        """Send a request, whose frames are made for the id that it gets; that id.

        :raises ProtocolError: when a frame is too large.
        """
        request_id = self._new_id()
        pieces = iter(frames(request_id))
        first = next(pieces)
        if not self.connected_now:
            exchange.finish(Failure(self._lost()))
            return request_id
        self._exchanges[request_id] = exchange  # type: ignore[assignment]
        self._unsent.add(request_id)
        self._outgoing.append((request_id, chain((first,), pieces)))
        self._write()
        return request_id

    def _write(self) -> None:
        # A write may pause us from inside.
        if self._writing:
            return
        self._writing = True
        try:
            while self._outgoing and not self.paused and self.connected_now:
                request_id, pieces = self._outgoing[0]
                piece = next(pieces, None)
                if piece is None:
                    self._outgoing.popleft()
                    continue
                self._unsent.discard(request_id)
                assert self.transport is not None
                self.transport.write(piece)
        finally:
            self._writing = False

    def pending(self, request_id: int) -> bool:
        """Whether a request has not had its last reply."""
        return request_id in self._exchanges

    def kill(self, request_id: int) -> None:
        """Ask the agent to end a request; its last reply tells that it did. What else comes of it is not kept."""
        exchange = self._exchanges.get(request_id)
        if exchange is None:
            return
        exchange.discard()
        self._outgoing = deque(one for one in self._outgoing if one[0] != request_id)
        if request_id in self._unsent:
            # The agent has never heard of it.
            self._unsent.discard(request_id)
            del self._exchanges[request_id]
            exchange.finish(Failure(LinkLost("")))
        elif self.connected_now:
            assert self.transport is not None
            self.transport.write(protocol.frame(request_id, protocol.KILL))

    def close(self) -> None:
        """End the connection: the agent kills what still runs, and ends."""
        self._closed, self.connected_now = True, False
        self._read_no_more()
        self._abort()

    def _abort(self) -> None:
        if self._closed and self.transport is not None:
            self.transport.abortConnection()

    def dataReceived(self, data: bytes) -> None:
        """Twisted's callback. Nothing that comes here is trusted."""
        self._unread = chain(self._unread, self._read(data))
        assert self._intake is not None
        self._intake.begin()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted's callback."""
        self._read_no_more()
        if not self._closed:
            self._take()
        self.connected_now = False
        exchanges, self._exchanges = self._exchanges, {}
        self._outgoing.clear()
        self._unsent.clear()
        self._ended(self)
        for exchange in exchanges.values():
            exchange.finish(Failure(self._lost()))

    def _catch_up(self) -> None:
        """Take some of what was read; the rest has its turn after others."""
        if self._closed:
            return
        assert self._intake is not None
        if self._take(_PIECES, self._run_queue.seconds() + _SLICE):
            self._intake.fall_behind()

    def _read_no_more(self) -> None:
        if self._intake is not None:
            self._intake.close()

    def _take(self, most: float = inf, end: float = inf) -> bool:
        """Take what was read, piece by piece; whether there is more.

        :param most: so many pieces.
        :param end: none after that moment.
        """
        seconds = self._run_queue.seconds
        try:
            for number, _ in enumerate(self._unread, 1):
                if number >= most or seconds() >= end:
                    return not self._closed
        except (FrameError, protocol.ProtocolError) as error:
            _log.warn("agent broke the protocol: {error}", error=str(error))
            self._words = b"the agent broke the protocol"
            self.broken = True
            self._unread = iter(())
            self.close()
        return False

    def _read(self, data: bytes) -> Iterator[None]:
        """What has come, a step for each piece of the stream and for each reply."""
        for stream, piece in self._stream.feed(data):
            # Before the agent's first frame, whose first byte is 0, it may be the engine that speaks.
            if stream == STDERR or (not self._spoke and piece[:1] != b"\0"):
                self._words += piece
                if len(self._words) > _WORDS_LIMIT:
                    raise protocol.ProtocolError("too much text")
            elif piece:
                self._spoke = True
                for request_id, kind, payload in self._replies.feed(piece):
                    self._reply(request_id, kind, payload)
                    yield
            if not piece:
                self._stray()
            yield

    def _reply(self, request_id: int, kind: int, payload: bytes) -> None:
        exchange = self._exchanges.get(request_id)
        if exchange is None:
            self._stray()
        elif exchange.received(kind, payload):
            del self._exchanges[request_id]
        elif not payload:
            self._stray()

    def _stray(self) -> None:
        self._strays += 1
        if self._strays > _STRAYS + 2 * self._last_id:
            raise protocol.ProtocolError("too many replies to nobody, or empty frames")

    def _new_id(self) -> int:
        while True:
            self._last_id = self._last_id % 0xFFFFFFFF + 1
            if self._last_id not in self._exchanges:
                return self._last_id

    def _lost(self) -> LinkLost:
        return LinkLost(self._words.decode("utf-8", "replace").strip())
